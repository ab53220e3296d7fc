//! The connector alone, for the machine beside Exchange: the same verbs, without the server and without OpenSSL.
