//! Tokenised XML (WBXML) for OMA-DM and Exchange ActiveSync; code pages are tables handed in.
