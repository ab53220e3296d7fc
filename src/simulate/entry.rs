//! By what the devices get in, from the command line, and for mail from the invitation's own profile.

use super::{Channel, Options, words};
use crate::cli::Failure;
use lanyard_sim::{
    World,
    trial::{self, Entry},
};

/// The entry. Of an invitation for mail the mail server's public name is learnt too, and noted in the world.
pub(super) async fn of(options: &Options, world: &mut World) -> Result<Entry, Failure> {
    let given = |text: &Option<String>| text.clone().unwrap_or_default();
    match options.channel {
        Channel::Apple => {
            let url = invitation(&given(&options.url));
            let url =
                url.ok_or_else(|| usage("--url: the invitation's, as `lanyard invite --channel apple` prints it"))?;
            Ok(Entry::Apple { url })
        }
        Channel::Windows => Ok(Entry::Windows { user: given(&options.user), code: given(&options.code) }),
        Channel::Activesync => mail(options, world).await,
    }
}

async fn mail(options: &Options, world: &mut World) -> Result<Entry, Failure> {
    let url = options.url.as_deref().and_then(invitation);
    let (user, invitation) = match (url, &options.code) {
        (None, None) => (options.user.clone(), None),
        (Some(url), Some(code)) => {
            let user = learn(options, &url, world).await?;
            (user, Some((url, code.clone())))
        }
        (Some(_), None) => return Err(usage("--code: the certificate of an invitation is given for its code")),
        (None, Some(_)) => {
            return Err(usage("--url: the invitation's, as `lanyard invite --channel activesync` prints it"));
        }
    };
    let user = user.ok_or_else(|| usage("--user: the user's name at the mail server"))?;
    let password = crate::cli::password::of(options.password_file.as_deref(), &user).await?;
    Ok(Entry::Mail { user, password, invitation })
}

/// The user, and in the world under which name the mail goes: as the profile says that an iPhone gets.
async fn learn(options: &Options, url: &str, world: &mut World) -> Result<Option<String>, Failure> {
    match trial::account_of(url, world).await {
        Ok(account) => {
            world.public_url = format!("https://{}", account.host);
            Ok(Some(options.user.clone().unwrap_or(account.user)))
        }
        // It has none for a user without a mail address.
        Err(_) if options.user.is_some() => Ok(options.user.clone()),
        Err(error) => Err(Failure::Failed(words::refused(&error))),
    }
}

/// An invitation's URL, also where that of its profile was given.
fn invitation(url: &str) -> Option<String> {
    let url = url.trim_end_matches('/');
    let url = url.strip_suffix("/profile").unwrap_or(url);
    url.contains("/enroll/").then(|| url.to_string())
}

fn usage(text: &str) -> Failure {
    Failure::Usage(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invitations_url_is_told_from_a_servers() {
        let url = "https://mdm.example.org/enroll/abc";
        for given in [url, "https://mdm.example.org/enroll/abc/", "https://mdm.example.org/enroll/abc/profile"] {
            assert_eq!(invitation(given).as_deref(), Some(url));
        }
        assert_eq!(invitation("https://mdm.example.org"), None);
    }
}
