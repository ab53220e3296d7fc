//! What goes to the mail server as a login: what the client brought, or our word for who shows a certificate of ours (`--eas-signon`).

use super::{gateway::Gateway, login::Login, refusal::Refusal, who};
use crate::{ids::Fingerprint, server::signon::SignOn};

impl Gateway {
    /// The login for the mail server. `None`: nobody brought one, or the certificate is one for which we do not speak any more. A
    /// certificate must be of the user whose login came along, which then stays here: a mail server that believes us looks at no password.
    pub(super) async fn login_for(
        &self,
        shown: Option<Fingerprint>,
        said: Option<&Login>,
    ) -> Result<Option<Login>, Refusal> {
        let (Some(way), Some(shown)) = (&self.server.eas_signon, shown) else { return Ok(said.cloned()) };
        let (users, name) = (self.server.eas_users.clone(), said.and_then(Login::user).map(str::to_string));
        let user = self.server.store.judge(move |tx| who::signs_on(tx, &shown, &users, name.as_deref())).await?;
        let Some(user) = user else { return Ok(None) };
        match way {
            SignOn::Header(header) => Login::by_header(header, &user).map(Some).ok_or(Refusal::Unnamed),
            SignOn::Kerberos(_) => Ok(Some(Login::by_ticket(&user))),
        }
    }

    /// Whether nobody gets in without a certificate: where the mail server believes a header it believes a name without its password too.
    pub(super) fn needs_certificate(&self) -> bool {
        matches!(self.server.eas_signon, Some(SignOn::Header(_)))
    }

    /// Why a request without a login, or one whose login proves nothing here, is not served. `asked`: whether a certificate is asked
    /// for under the name that it came to.
    pub(super) fn nobody(&self, asked: bool) -> Refusal {
        match self.needs_certificate() {
            true if !asked => Refusal::WrongName,
            true => Refusal::CertificateOnly,
            false => Refusal::NoLogin,
        }
    }
}
