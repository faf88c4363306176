//! `vscp-link user`: the users file.

use std::ffi::CStr;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use vscpl2drv_link::auth::{Credential, Rights};
use vscpl2drv_link::config;
use vscpl2drv_link::config::edit::{EditError, UsersFile};
use vscpl2drv_link::error::with_causes;
use vscpl2drv_link::os;
use zeroize::Zeroizing;

use crate::args::{NewPasswordArgs, UserCommand};
use crate::failure::{Failure, printable};
use crate::login;

/// How long others who change the file may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Bytes of a user name or a password that the driver takes.
const MOST: usize = 256;

/// The group that the daemon runs as, and `vscp-link run` as a service. What root makes it reads.
const DAEMONS: &CStr = c"vscp";

pub(crate) fn run(command: &UserCommand) -> Result<(), Failure> {
    match command {
        UserCommand::List { file } => list(file),
        UserCommand::Add {
            file,
            name,
            rights,
            password,
        } => {
            check_name(name)?;
            let rights = self::rights(rights)?;
            let group = os::is_root().then(|| os::group(DAEMONS)).flatten();
            let users = UsersFile::open_or_new(file).map_err(problem)?;
            let mut users = users.readable_for(group);
            users
                .add(name, &credential(name, password)?, &rights)
                .map_err(problem)?;
            save(users, &format!("{name} was added to {}", file.display()))
        }
        UserCommand::Passwd {
            file,
            name,
            password,
        } => {
            let mut users = UsersFile::open(file).map_err(problem)?;
            // Before anybody types.
            known(file, name)?;
            users
                .set_password(name, &credential(name, password)?)
                .map_err(problem)?;
            save(users, &format!("{name} has a new password"))
        }
        UserCommand::Rights { file, name, rights } => {
            let rights = self::rights(rights)?;
            let mut users = UsersFile::open(file).map_err(problem)?;
            users.set_rights(name, &rights).map_err(problem)?;
            save(users, &format!("{name} has the rights {rights}"))
        }
        UserCommand::Remove { file, name } => {
            let mut users = UsersFile::open(file).map_err(problem)?;
            users.remove(name).map_err(problem)?;
            save(
                users,
                &format!("{name} was removed from {}", file.display()),
            )
        }
    }
}

fn list(file: &Path) -> Result<(), Failure> {
    let (users, _) = config::load_users(file).map_err(|error| problem(error.into()))?;
    let mut out = io::stdout().lock();
    for user in users.iter() {
        let old = match user.credential.is_outdated() {
            true => "  password stored as MD5: give it anew",
            false => "",
        };
        let name = printable(&user.name);
        writeln!(
            out,
            "{name}  privilege {}  rights {}{old}",
            user.privilege.level(),
            user.rights.names()
        )
        .map_err(Failure::Output)?;
    }
    Ok(())
}

fn known(file: &Path, name: &str) -> Result<(), Failure> {
    let (users, _) = config::load_users(file).map_err(|error| problem(error.into()))?;
    let found = users.get(name).is_some();
    found
        .then_some(())
        .ok_or_else(|| problem(EditError::Unknown(name.to_owned())))
}

fn check_name(name: &str) -> Result<(), Failure> {
    let bad = name.is_empty()
        || name.len() > MOST
        || name.trim() != name
        || name.contains(char::is_control)
        || name.contains(':');
    if bad {
        return Err(Failure::usage(format!(
            "{name:?} is no user name: 1 to {MOST} bytes, no colon, no blanks around it"
        )));
    }
    Ok(())
}

/// As they are written into the file.
fn rights(text: &str) -> Result<String, Failure> {
    match text.parse::<Rights>() {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(Failure::usage_because("these are no rights", error)),
    }
}

fn credential(name: &str, args: &NewPasswordArgs) -> Result<Credential, Failure> {
    let password: Zeroizing<String> = login::new_password(name, args.password_file.as_deref())?;
    if password.is_empty() || password.len() > MOST || password.trim() != *password {
        return Err(Failure::problem(format!(
            "a password has 1 to {MOST} bytes, and no blanks around it"
        )));
    }
    Credential::derive(name, &password).map_err(|error| Failure::problem(with_causes(&error)))
}

fn save(users: UsersFile, done: &str) -> Result<(), Failure> {
    users.save(PATIENCE).map_err(problem)?;
    writeln!(io::stdout().lock(), "{}", printable(done)).map_err(Failure::Output)
}

fn problem(error: EditError) -> Failure {
    Failure::problem(with_causes(&error))
}
