use super::*;

fn ask(line: &str) -> String {
    let mut session = Session::new(Arc::default(), false);
    let mut out = Vec::new();
    assert!(
        session
            .handle(Line::Text(line.as_bytes()), 1, &mut out)
            .is_none()
    );
    String::from_utf8(out).unwrap()
}

#[test]
fn every_command_has_its_help_under_each_of_its_names() {
    let all = ask("help");
    for entry in COMMANDS {
        for name in entry.names {
            let text = ask(&format!("help {}", name.to_lowercase()));
            let usage = format!("{} {}", entry.names[0], entry.arguments);
            assert!(
                text.starts_with(&format!("{}\r\n", usage.trim_end())),
                "{text}"
            );
            assert!(
                text.ends_with(&format!("\r\n{}", reply::SUCCESS.text())),
                "{text}"
            );
            assert!(all.contains(name), "{name}");
        }
    }
    // Nothing that a client could take for the end of a reply.
    let lines: Vec<&str> = all.lines().collect();
    let before = &lines[..lines.len() - 1];
    assert!(
        before
            .iter()
            .all(|line| !line.contains("+OK") && !line.contains("-OK"))
    );
    assert!(before.iter().all(|line| !line.starts_with(['+', '-'])));
}

#[test]
fn no_command_is_known_by_a_part_of_its_name() {
    for entry in COMMANDS {
        for name in entry.names {
            assert_eq!(ask(&format!("{name}x")), reply::UNKNOWN.text());
            if command::find(&name[..name.len() - 1]).is_none() {
                assert_eq!(ask(&name[..name.len() - 1]), reply::UNKNOWN.text());
            }
        }
    }
}

#[test]
fn what_is_printed_back_is_no_status() {
    for line in ["--OK - Success.", "-+OKOK", "x ++OK", "x +-OK", "x -+ERR"] {
        let mut session = Session::new(Arc::default(), false);
        let mut out = Vec::new();
        for line in [line, "+", "++", &format!("help {line}")] {
            out.clear();
            session.handle(Line::Text(line.as_bytes()), 1, &mut out);
            let text = String::from_utf8(out.clone()).unwrap();
            let statuses = text.matches("+OK").count() + text.matches("-OK").count();
            assert_eq!(statuses, 1, "{line}: {text}");
        }
    }
}

proptest::proptest! {
    #[test]
    fn every_line_has_one_status_or_a_request(
        lines in proptest::collection::vec(
            proptest::collection::vec(proptest::prelude::any::<u8>(), 0..60), 1..20),
    ) {
        let mut session = Session::new(Arc::default(), false);
        for line in lines {
            let mut out = Vec::new();
            let request = session.handle(Line::Text(&line), 1, &mut out);
            let text = String::from_utf8_lossy(&out).into_owned();
            let count = text.lines().filter(|l| l.starts_with("+OK") || l.starts_with("-OK")).count();
            let blank = line::clean(&line).is_some_and(|line| line.is_empty());
            match request {
                Some(Request::Close) | None => proptest::prop_assert_eq!(count, usize::from(!blank)),
                Some(_) => proptest::prop_assert!(count <= 1),
            }
        }
    }
}

/// Where the CRC ends in zeros, a frame reads the same with a shorter argument.
#[test]
fn a_login_in_a_frame_is_among_the_ways_to_read_it() {
    use crate::wire::binary::{Frame, FrameReader, Strength, write_command};

    let cipher = Cipher::new(Strength::Aes128, &[7; 16]).unwrap();
    let terms = Arc::new(Terms {
        cipher: Some(cipher.clone()),
        ..Terms::default()
    });
    let mut several = 0;
    for n in 0..3000 {
        // Whatever the last byte is.
        for end in ["x", " ", "\u{e9}", "\u{20ac}"] {
            let (name, password) = (format!("u{n}{end}"), format!("{n}{end}"));
            let mut session = Session::new(Arc::clone(&terms), false);
            let mut out = Vec::new();
            session.handle(Line::Text(b"BINARY"), 1, &mut out);
            let mut wire = Vec::new();
            for (code, argument) in [(2, &name), (3, &password)] {
                write_command(code, argument.as_bytes(), &cipher, &mut wire).unwrap();
            }
            let mut reader = FrameReader::default();
            reader.push(&wire);
            let mut asked = None;
            while let Some((frame, _)) = reader.next_frame(&cipher, true).unwrap() {
                asked = session.handle_frame(frame, 1, &mut out).unwrap();
            }
            let Some(Request::Login { users, passwords }) = asked else {
                panic!("{name:?} {password:?}: {asked:?}");
            };
            assert!(users.contains(&name), "{name:?}: {users:?}");
            let right = |text: &Zeroizing<String>| text.as_str() == password;
            assert!(passwords.iter().any(right), "{password:?}: {passwords:?}");
            assert!(users.len() <= 3 && passwords.len() <= 3);
            several += usize::from(passwords.first().is_none_or(|first| !right(first)));
        }
    }
    assert!(several > 0, "the test sees what it is for");
    // Name and password in one, the password as short as can be.
    let mut short = 0;
    for n in 0..3000 {
        let mut session = Session::new(Arc::clone(&terms), false);
        let mut out = Vec::new();
        session.handle(Line::Text(b"BINARY"), 1, &mut out);
        let mut wire = Vec::new();
        write_command(2, format!("u{n}:p").as_bytes(), &cipher, &mut wire).unwrap();
        let mut reader = FrameReader::default();
        reader.push(&wire);
        let (frame, _) = reader.next_frame(&cipher, true).unwrap().unwrap();
        let Frame::Command { argument, .. } = &frame else {
            panic!("{frame:?}");
        };
        if !argument.contains(&b':') {
            // Both bytes of its CRC are zero, one in 65536: it reads as a name alone.
            continue;
        }
        short += usize::from(argument.ends_with(b":"));
        let asked = session.handle_frame(frame, 1, &mut out).unwrap();
        let Some(Request::Login { passwords, .. }) = asked else {
            panic!("u{n}:p: {asked:?}");
        };
        assert!(passwords.iter().any(|text| text.as_str() == "p"));
    }
    assert!(short > 0, "the test sees what it is for");
}
