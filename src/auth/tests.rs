use std::net::IpAddr;
use std::sync::Arc;

use proptest::prelude::*;

use super::credential::work;
use super::*;
use crate::event::{Data, Event, EventTime, FilterPair, Guid, Head};

/// Of the sample files that are shipped with the VSCP daemon and its drivers.
const ADMIN: &str = "487636FDE3637C7C853AAC9EAF6FA062;\
                     357C71CA59F760C08C4125C444A22A91FD1FE1FB0E5628771A572BAF6F61B71F";
const USER: &str = "0839DD1BE692164847B601E6520CE23B;\
                    3E1B4D950F04EA3BFA2C43160B9D98ECC76B249F79A1062F041C526978591BA3";
const SPECIAL1: &str = "7B79EF5A2532F9B46DFEC501BAD16C35;\
                        100943D7C2C1C9AE99AE4F2287241DA7EAC3969EDDED50AFF3FB4EAD33C1BAD9";
/// PBKDF2 over `secret` alone.
const PASSWORD_ONLY: &str = "D35967DEE4CFFB214124DFEEA7778BB0;\
                             582BCA078604C925852CDDEE0A8475556DEAA6DC6EFB004A353094900C97D3DE";
const ADMIN_MD5: &str = "2d1e4f91dae49cd08eaba2293e422273";
const USER_MD5: &str = "8c3088f1b27432344f14d82033749797";
/// MD5 of `my_user_1:secret`.
const MD5_UNDERSCORES: &str = "f4d09d0f5cfb18290cdee0b63b5063a3";
/// MD5 of `my user,1:secret`.
const MD5_AS_IT_IS: &str = "5f48a68ecb93a8575bb8b4d9ccb1b372";

const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 168, 1, 7));
const AWAY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 7));

fn verify(stored: &str, user: &str, password: &str) -> bool {
    stored.parse::<Credential>().unwrap().verify(user, password)
}

fn user(name: &str, credential: &str, rights: &str) -> User {
    User {
        name: name.to_owned(),
        credential: credential.parse().unwrap(),
        full_name: String::new(),
        note: String::new(),
        rights: rights.parse().unwrap(),
        privilege: Privilege::default(),
        remotes: Remotes::parse(["+192.168.0.0/16"]).unwrap(),
        max_sessions: None,
        allowed: AllowedEvents::default(),
        filter: FilterPair::default(),
    }
}

fn event(class: u16, vscp_type: u16, priority: u8) -> Event {
    Event {
        head: Head::default().with_priority(priority),
        class,
        vscp_type,
        obid: 0,
        guid: Guid::ZERO,
        time: EventTime::Unix { nanos: 0 },
        data: Data::default(),
    }
}

#[test]
fn the_sample_files_credentials_are_those_of_secret() {
    assert!(verify(ADMIN, "admin", "secret"));
    assert!(verify(USER, "user", "secret"));
    assert!(verify(SPECIAL1, "special1", "secret"));
    assert!(verify(ADMIN_MD5, "admin", "secret"));
    assert!(verify(USER_MD5, "user", "secret"));
    assert!(verify("8c92432a556d8dc0b97e9c34fc79725e", "vscp", "secret"));
    assert!(verify(&ADMIN.to_lowercase(), "admin", "secret"));
    assert!(verify(&ADMIN_MD5.to_uppercase(), "admin", "secret"));
}

#[test]
fn other_users_and_passwords_are_wrong() {
    for stored in [ADMIN, ADMIN_MD5] {
        assert!(!verify(stored, "admin", "Secret"));
        assert!(!verify(stored, "admin", ""));
        assert!(!verify(stored, "Admin", "secret"));
        assert!(!verify(stored, "user", "secret"));
    }
    assert!(!verify(PASSWORD_ONLY, "user", "secret"));
}

#[test]
fn a_new_credential_is_salted_and_its_own() {
    let one = Credential::derive("sensor:1 a", "pass;word").unwrap();
    let two = Credential::derive("sensor:1 a", "pass;word").unwrap();
    assert_ne!(one.to_string(), two.to_string());
    assert!(!one.is_outdated());
    let stored = one.to_string();
    assert_eq!(stored.len(), 97);
    assert!(verify(&stored, "sensor:1 a", "pass;word"));
    assert!(!verify(&stored, "sensor:1 b", "pass;word"));
}

#[test]
fn names_may_be_hashed_with_underscores() {
    for stored in [MD5_UNDERSCORES, MD5_AS_IT_IS] {
        assert!(verify(stored, "my user,1", "secret"), "{stored}");
    }
    assert!(!verify(MD5_AS_IT_IS, "my_user_1", "secret"));
}

#[test]
fn every_check_is_the_same_work() {
    for (name, steps) in [("admin", 1), ("my user", 2)] {
        for stored in [ADMIN, ADMIN_MD5] {
            let credential: Credential = stored.parse().unwrap();
            for password in ["secret", "wrong"] {
                assert_eq!(work::of(|| credential.verify(name, password)).0, steps);
            }
        }
        assert_eq!(work::of(|| Credential::waste(name, "secret")).0, steps);
    }
}

#[test]
fn what_is_no_credential_is_refused() {
    assert_eq!(
        "".parse::<Credential>().unwrap_err(),
        CredentialError::Empty
    );
    for bad in [
        "secret",
        ";",
        &ADMIN[1..],
        &ADMIN[..96],
        &ADMIN.replace(';', ":"),
        &ADMIN_MD5[1..],
        &ADMIN_MD5.replace('2', "g"),
        &format!("{ADMIN};"),
        "ååååååååååååååå\u{e5}",
    ] {
        let error = bad.parse::<Credential>().unwrap_err();
        assert_eq!(error, CredentialError::Form, "{bad}");
    }
}

#[test]
fn secrets_are_not_in_debug_output() {
    for stored in [ADMIN, ADMIN_MD5] {
        let printed = format!("{:?}", user("admin", stored, "admin"));
        for part in stored.split(';') {
            assert!(
                !printed.to_lowercase().contains(&part.to_lowercase()),
                "{printed}"
            );
        }
    }
    let verifier = Verifier::new().unwrap();
    assert_eq!(format!("{verifier:?}"), "Verifier { .. }");
}

#[test]
fn sending_needs_the_right_for_the_class() {
    let send = |rights: &str, class| user("u", USER_MD5, rights).may_send(&event(class, 1, 3));
    for class in [0, 10, 512, 1024] {
        assert_eq!(send("user", class), Ok(3));
    }
    assert_eq!(send("user", 1028), Err(Refusal::Hlo));
    assert_eq!(send("admin", 1028), Ok(3));
    assert_eq!(send("receive-events", 10), Err(Refusal::Send));
    assert_eq!(send("l1ctrl-events,hlo-events", 0), Err(Refusal::Send));
    for class in [0, 512] {
        assert_eq!(send("send-events", class), Err(Refusal::Level1Control));
        assert_eq!(send("send-events,l1ctrl-events", class), Ok(3));
    }
    assert_eq!(send("send-events", 1024), Err(Refusal::Level2Control));
    assert_eq!(send("send-events", 513), Ok(3));
}

#[test]
fn the_list_counts_after_the_rights() {
    let mut user = user("u", USER_MD5, "user");
    user.allowed = AllowedEvents::parse(["TX;10;6;3,RX;20;*", "1028:*"]).unwrap();
    assert_eq!(user.may_send(&event(10, 6, 0)), Ok(3));
    assert_eq!(user.may_send(&event(10, 6, 5)), Ok(5));
    assert_eq!(user.may_send(&event(20, 3, 3)), Err(Refusal::NotListed));
    assert_eq!(user.may_send(&event(1028, 1, 3)), Err(Refusal::Hlo));
    assert!(user.may_receive(&event(20, 3, 0)));
    assert!(!user.may_receive(&event(10, 6, 0)));
    user.rights = Rights::SEND_EVENT;
    assert!(!user.may_receive(&event(20, 3, 0)));
}

#[test]
fn a_table_has_each_name_once() {
    let record = |name| user(name, USER_MD5, "user");
    let table = UserTable::new(vec![record("b"), record("a"), record("A")]).unwrap();
    assert_eq!(table.len(), 3);
    assert_eq!(table.get("a").unwrap().name, "a");
    assert!(table.get("B").is_none());
    let names: Vec<_> = table.iter().map(|user| user.name.as_str()).collect();
    assert_eq!(names, ["A", "a", "b"]);
    assert!(UserTable::default().is_empty());

    let error = UserTable::new(vec![record("a"), record("b"), record("a")]).unwrap_err();
    assert_eq!(error, UserTableError::Duplicate("a".to_owned()));
    let error = UserTable::new(vec![record("a"), record("")]).unwrap_err();
    assert_eq!(error, UserTableError::Unnamed(2));
}

fn door(peer: IpAddr, remotes: &Remotes) -> Door<'_> {
    Door {
        service: Service::Link,
        peer,
        remotes,
    }
}

struct House {
    verifier: Verifier,
    table: UserTable,
    global: Remotes,
}

impl House {
    fn new() -> Self {
        Self {
            verifier: Verifier::new().unwrap(),
            table: UserTable::new(vec![
                user("admin", ADMIN, "admin"),
                user("user", USER_MD5, "user"),
                user("my user,1", MD5_UNDERSCORES, "user"),
                user("special1", SPECIAL1, "web"),
            ])
            .unwrap(),
            global: Remotes::default(),
        }
    }

    /// The slow steps, and the name of who was let in or the reason why not.
    fn knock(&self, name: &str, password: &str, peer: IpAddr) -> (usize, Result<String, Reason>) {
        let (steps, result) = work::of(|| {
            self.verifier
                .authenticate(&self.table, name, password, door(peer, &self.global))
        });
        let result = result
            .map(|user| user.name.clone())
            .map_err(|refused| refused.reason);
        (steps, result)
    }
}

#[test]
fn every_refusal_is_the_same_work_and_has_its_reason() {
    let door = House::new();
    // With nobody remembered, and with everybody who can be.
    for _ in 0..2 {
        for (name, password, peer, reason) in [
            ("nobody", "secret", HOME, Reason::UnknownUser),
            ("admin", "wrong", HOME, Reason::WrongPassword),
            ("user", "wrong", HOME, Reason::WrongPassword),
            ("admin", "secret", AWAY, Reason::Host),
            ("admin", "wrong", AWAY, Reason::Host),
            ("special1", "secret", HOME, Reason::NoRight),
            ("special1", "wrong", HOME, Reason::WrongPassword),
            ("special1", "secret", AWAY, Reason::Host),
            ("nobody", "secret", AWAY, Reason::UnknownUser),
        ] {
            assert_eq!(
                door.knock(name, password, peer),
                (1, Err(reason)),
                "{name} {password}"
            );
        }
        for name in ["admin", "user", "my user,1"] {
            assert_eq!(door.knock(name, "secret", HOME).1.unwrap(), name);
        }
        assert_eq!(
            door.knock("my user,1", "wrong", HOME),
            (2, Err(Reason::WrongPassword))
        );
        assert_eq!(
            door.knock("no user,1", "wrong", HOME),
            (2, Err(Reason::UnknownUser))
        );
    }
}

#[test]
fn the_global_list_comes_before_the_users() {
    let mut door = House::new();
    door.global = Remotes::parse(["-192.168.1.7"]).unwrap();
    assert_eq!(door.knock("admin", "secret", HOME), (1, Err(Reason::Host)));
    assert_eq!(door.knock("nobody", "secret", HOME), (1, Err(Reason::Host)));
    let neighbour = "::ffff:192.168.1.8".parse().unwrap();
    assert_eq!(door.knock("admin", "secret", neighbour).1.unwrap(), "admin");
}

#[test]
fn a_right_login_is_remembered() {
    let mut door = House::new();
    assert_eq!(
        door.knock("admin", "secret", HOME),
        (1, Ok("admin".to_owned()))
    );
    assert_eq!(
        door.knock("admin", "secret", HOME),
        (0, Ok("admin".to_owned()))
    );
    // It stays remembered over wrong ones, which cost what they always do.
    assert_eq!(
        door.knock("admin", "wrong", HOME),
        (1, Err(Reason::WrongPassword))
    );
    assert_eq!(door.knock("admin", "secret", HOME).0, 0);

    // The same password, stored anew.
    door.table = UserTable::new(vec![user("admin", ADMIN_MD5, "admin")]).unwrap();
    assert_eq!(
        door.knock("admin", "secret", HOME),
        (1, Ok("admin".to_owned()))
    );
    assert_eq!(
        door.knock("admin", "secret", HOME),
        (0, Ok("admin".to_owned()))
    );

    // Another password.
    let changed = Credential::derive("admin", "better").unwrap().to_string();
    door.table = UserTable::new(vec![user("admin", &changed, "admin")]).unwrap();
    assert_eq!(
        door.knock("admin", "secret", HOME),
        (1, Err(Reason::WrongPassword))
    );
    assert_eq!(door.knock("admin", "better", HOME).1.unwrap(), "admin");
}

#[test]
fn only_a_login_that_was_right_before_is_recognised() {
    let mut door = House::new();
    let recognised = |door: &House, name: &str, password: &str, peer| {
        let (steps, user) = work::of(|| {
            let House {
                verifier,
                table,
                global,
            } = door;
            verifier.recognise(table, name, password, self::door(peer, global))
        });
        assert_eq!(steps, 0);
        user.map(|user| user.name.clone())
    };
    assert_eq!(recognised(&door, "admin", "secret", HOME), None);
    for name in ["admin", "special1", "nobody"] {
        let _ = door.knock(name, "secret", HOME);
    }
    let known = recognised(&door, "admin", "secret", HOME);
    assert_eq!(known.as_deref(), Some("admin"));
    for (name, password, peer) in [
        ("admin", "wrong", HOME),
        ("admin", "secret", AWAY),
        ("special1", "secret", HOME),
        ("user", "secret", HOME),
        ("nobody", "secret", HOME),
    ] {
        assert_eq!(recognised(&door, name, password, peer), None, "{name}");
    }
    door.table = UserTable::new(vec![user("admin", ADMIN_MD5, "admin")]).unwrap();
    assert_eq!(recognised(&door, "admin", "secret", HOME), None);
}

#[test]
fn users_who_are_gone_are_forgotten() {
    let mut door = House::new();
    for name in ["admin", "user", "my user,1"] {
        door.knock(name, "secret", HOME).1.unwrap();
    }
    assert_eq!(door.verifier.remembered(), 3);
    door.table = UserTable::new(vec![user("admin", ADMIN_MD5, "admin")]).unwrap();
    assert_eq!(
        door.knock("user", "secret", HOME),
        (1, Err(Reason::UnknownUser))
    );
    door.knock("admin", "secret", HOME).1.unwrap();
    assert_eq!(door.verifier.remembered(), 1);
}

#[test]
fn the_reason_of_a_refusal_is_said() {
    let refused = Refused {
        reason: Reason::Host,
    };
    assert_eq!(refused.to_string(), "login refused: not from this host");
}

#[test]
fn the_shapes_can_be_shared() {
    fn shared<T: Send + Sync>() {}
    shared::<Arc<UserTable>>();
    shared::<Verifier>();
    shared::<Throttle>();
}

proptest! {
    #[test]
    fn any_text_is_a_credential_or_refused(text in "[0-9a-fA-F;é]{0,100}") {
        let _ = text.parse::<Credential>();
    }

    #[test]
    fn a_credential_is_printed_as_it_is_read(salt: [u8; 16], hash: [u8; 32]) {
        let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02X}")).collect::<String>();
        let stored = format!("{};{}", hex(&salt), hex(&hash));
        prop_assert_eq!(stored.parse::<Credential>().unwrap().to_string(), stored);
        let stored = hex(&salt).to_lowercase();
        prop_assert_eq!(stored.parse::<Credential>().unwrap().to_string(), stored);
    }
}
