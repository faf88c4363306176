//! The commands of the link protocol: their names, who may use them, and their help.
//!
//! A new command is one row of [`COMMANDS`] and one match arm of the session.

use crate::auth::Rights;
use crate::wire::binary::code;

/// A command of the link protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Command {
    Noop,
    Help,
    Quit,
    User,
    Pass,
    Challenge,
    Send,
    Retrieve,
    ReceiveLoop,
    QuitLoop,
    CheckData,
    Clear,
    Stat,
    Info,
    ChannelId,
    SetGuid,
    GetGuid,
    Version,
    SetFilter,
    SetMask,
    WhatCanYouDo,
    Interface,
    Test,
    Shutdown,
    Restart,
    Binary,
    Link,
    LinkSend,
    LinkReceive,
    LinkAcknowledge,
}

/// One row of the table of commands.
#[derive(Debug)]
pub struct Entry {
    /// The command.
    pub command: Command,
    /// Its number in the binary mode (VSCP specification, "VSCP general binary protocol").
    pub code: Option<u16>,
    /// Its names, the short one first, upper case.
    pub names: &'static [&'static str],
    /// The privilege it asks for, 0 to 15; 0 needs no login.
    pub privilege: u8,
    /// The right it asks for.
    pub right: Option<Rights>,
    /// What stands behind the name.
    pub arguments: &'static str,
    /// What it does, for HELP.
    pub help: &'static str,
}

/// Every command, in the order of HELP. Privileges are those of the specification's table,
/// rights those of the VSCP daemon.
pub const COMMANDS: &[Entry] = &[
    entry(
        Command::Noop,
        Some(0),
        &["NOOP"],
        0,
        None,
        "",
        "Does nothing and says that it went well.",
    ),
    entry(
        Command::Help,
        None,
        &["HELP"],
        0,
        None,
        "[command]",
        "Lists the commands, or explains one.",
    ),
    entry(
        Command::Quit,
        Some(1),
        &["QUIT", "EXIT"],
        0,
        None,
        "",
        "Ends the session.",
    ),
    entry(
        Command::User,
        Some(2),
        &["USER"],
        0,
        None,
        "name",
        "Gives the user name of a login.",
    ),
    entry(
        Command::Pass,
        Some(3),
        &["PASS"],
        0,
        None,
        "password",
        "Gives the password and logs in.",
    ),
    entry(
        Command::Challenge,
        Some(4),
        &["CHALLENGE"],
        0,
        None,
        "",
        "Gives a fresh random session id of 32 hexadecimal digits.",
    ),
    entry(
        Command::Send,
        Some(5),
        &["SEND"],
        4,
        Some(Rights::SEND_EVENT),
        "head,class,type,obid,datetime,timestamp,GUID,data... | $name",
        "Sends an event. Empty fields take defaults; the GUID - is that of the channel. With $ and \
         a name it sends the event that the configuration has under variables.",
    ),
    entry(
        Command::Retrieve,
        Some(6),
        &["RETR", "RETRIEVE"],
        2,
        Some(Rights::RCV_EVENT),
        "[count]",
        "Prints the next event, or as many as asked for; -1 is all that wait.",
    ),
    entry(
        Command::ReceiveLoop,
        Some(7),
        &["RCVLOOP", "RECEIVELOOP"],
        2,
        Some(Rights::RCV_EVENT),
        "",
        "Prints events as they arrive, and +OK every two seconds, until QUITLOOP.",
    ),
    entry(
        Command::QuitLoop,
        Some(8),
        &["QUITLOOP", "CLOSELOOP"],
        2,
        None,
        "",
        "Ends the receive loop.",
    ),
    entry(
        Command::CheckData,
        Some(9),
        &["CDTA", "CHKDATA", "CHECKDATA"],
        1,
        None,
        "",
        "Tells how many events wait.",
    ),
    entry(
        Command::Clear,
        Some(10),
        &["CLRA", "CLRALL", "CLEARALL"],
        1,
        None,
        "",
        "Drops all events that wait.",
    ),
    entry(
        Command::Stat,
        Some(11),
        &["STAT"],
        1,
        None,
        "",
        "Prints 0,0,overruns,received bytes,received events,transmitted bytes,transmitted events \
         of this channel. Received is from the client.",
    ),
    entry(
        Command::Info,
        Some(12),
        &["INFO"],
        1,
        None,
        "",
        "Prints status,error,suberror,\"text\": status 0 when all uplinks are up, then the last \
         error of this channel.",
    ),
    entry(
        Command::ChannelId,
        Some(13),
        &["CHID", "GETCHID"],
        1,
        None,
        "",
        "Prints the id of this channel.",
    ),
    entry(
        Command::SetGuid,
        Some(14),
        &["SGID", "SETGUID"],
        6,
        Some(Rights::SETGUID),
        "GUID",
        "Sets the GUID of this channel.",
    ),
    entry(
        Command::GetGuid,
        Some(15),
        &["GGID", "GETGUID"],
        1,
        None,
        "",
        "Prints the GUID of this channel.",
    ),
    entry(
        Command::Version,
        Some(16),
        &["VERS", "VERSION"],
        0,
        None,
        "",
        "Prints major,minor,release,build of the driver.",
    ),
    entry(
        Command::SetFilter,
        Some(17),
        &["SFLT", "SETFILTER"],
        6,
        Some(Rights::SETFILTER),
        "priority,class,type,GUID",
        "Sets the filter for events to this channel.",
    ),
    entry(
        Command::SetMask,
        Some(18),
        &["SMSK", "SETMASK"],
        6,
        Some(Rights::SETFILTER),
        "priority,class,type,GUID",
        "Sets the mask for events to this channel: the bits of the filter that count.",
    ),
    entry(
        Command::WhatCanYouDo,
        Some(21),
        &["WCYD", "WHATCANYOUDO"],
        0,
        None,
        "",
        "Prints the capabilities of this server, 64 bits as eight bytes, the highest first.",
    ),
    entry(
        Command::Interface,
        Some(19),
        &["INTERFACE", "CLIENT"],
        15,
        Some(Rights::INTERFACE),
        "[LIST | CLOSE GUID]",
        "Lists the channels of this server, or ends one.",
    ),
    entry(
        Command::Test,
        Some(20),
        &["TEST"],
        15,
        Some(Rights::TEST),
        "",
        "Tests the hub, the uplinks and the clock, and prints a line for each.",
    ),
    entry(
        Command::Shutdown,
        Some(22),
        &["SHUTDOWN"],
        15,
        Some(Rights::SHUTDOWN),
        "",
        "Stops serving. The driver's host goes on.",
    ),
    entry(
        Command::Restart,
        Some(23),
        &["RESTART"],
        15,
        Some(Rights::RESTART),
        "",
        "Stops serving, reads the configuration afresh and starts again.",
    ),
    entry(
        Command::Binary,
        None,
        &["BINARY"],
        0,
        None,
        "",
        "Goes on in the binary mode, where this server offers it: frames with AES.",
    ),
    entry(
        Command::Link,
        Some(code::LINK),
        &["XLINK"],
        4,
        Some(Rights::LINK),
        "1 name queue number [brokers]",
        "Begins to send the events of a link between two drivers of this kind; tells the number \
         of the last one that has come.",
    ),
    entry(
        Command::LinkSend,
        Some(code::LINK_SEND),
        &["XSEND"],
        4,
        Some(Rights::LINK),
        "number tag event",
        "Sends an event of a link, which is taken once however often it is sent.",
    ),
    entry(
        Command::LinkReceive,
        Some(code::LINK_RECEIVE),
        &["XRCV"],
        2,
        Some(Rights::LINK),
        "1 name queue number",
        "Prints the events that wait for a link, and those that come, with number and tag, until \
         the session ends.",
    ),
    entry(
        Command::LinkAcknowledge,
        Some(code::LINK_ACKNOWLEDGE),
        &["XACK"],
        2,
        Some(Rights::LINK),
        "number",
        "Tells up to which number the events of a link have come.",
    ),
];

/// What HELP says about the command that repeats.
pub const REPEAT_HELP: &str = "A line of + repeats the last command, +n the one n before it; ++ \
                               lists what can be repeated. Passwords are not kept.";

const fn entry(
    command: Command,
    code: Option<u16>,
    names: &'static [&'static str],
    privilege: u8,
    right: Option<Rights>,
    arguments: &'static str,
    help: &'static str,
) -> Entry {
    Entry {
        command,
        code,
        names,
        privilege,
        right,
        arguments,
        help,
    }
}

/// Parts a line into its command and what stands behind it. Whole words, in any case.
#[must_use]
pub fn parse(line: &str) -> Option<(&'static Entry, &str)> {
    let end = line.find([' ', '\t']).unwrap_or(line.len());
    let (word, arguments) = line.split_at(end);
    Some((find(word)?, arguments.trim_matches([' ', '\t'])))
}

/// The row of a name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Entry> {
    if name.eq_ignore_ascii_case("SEND") {
        // By far the most frequent one.
        return Some(&COMMANDS[SEND]);
    }
    COMMANDS.iter().find(|entry| {
        entry
            .names
            .iter()
            .any(|known| known.eq_ignore_ascii_case(name))
    })
}

/// The row of a number in the binary mode.
#[must_use]
pub fn find_code(code: u16) -> Option<&'static Entry> {
    COMMANDS.iter().find(|entry| entry.code == Some(code))
}

/// The row of SEND, which an event in a frame of its own is too.
#[must_use]
pub fn of_event() -> &'static Entry {
    &COMMANDS[SEND]
}

const SEND: usize = {
    let mut at = 0;
    while !matches!(COMMANDS[at].command, Command::Send) {
        at += 1;
    }
    at
};
