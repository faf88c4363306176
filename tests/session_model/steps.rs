//! What a client can do, as a line and as a frame.

use proptest::prelude::*;
use vscpl2drv_link::event::json::Generation;
use vscpl2drv_link::event::text::{Defaults, parse};
use vscpl2drv_link::event::{Filter, Guid, frame};
use vscpl2drv_link::wire::binary::Cipher;

/// Nanoseconds since 1970, at all times.
pub(crate) const NOW: u64 = 1_700_000_000_000_000_000;
pub(crate) const GUID: &str = "01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10";
pub(crate) const OTHER_GUID: &str = "FF:FF:FF:FF:FF:FF:FF:FE:00:00:00:00:00:00:00:07";
/// Two filters: whichever is set, the other half stays as it was.
pub(crate) const FILTER: &str = "1,20,3,-";
pub(crate) const OTHER_FILTER: &str = "7,0xFFFF,0,01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10";
/// Events: one that `sender` may send with a lower priority, one that it may not send, and one
/// that takes a right of its own.
pub(crate) const ON: &str = "0,20,3,,,,-,1";
pub(crate) const OTHER: &str = "96,30,3,,,,-,1,2,3";
pub(crate) const CONTROL: &str = "0,0,3,,,,-,1";
/// The place of a channel in the list of all.
pub(crate) const INDEX: u16 = 3;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Step {
    Noop,
    Help(&'static str),
    Version,
    Challenge,
    Capabilities,
    User(&'static str),
    Pass(bool),
    Send(&'static str),
    SendBad,
    /// `SEND $name`, which is there or not.
    SendVariable(bool),
    Retrieve,
    RetrieveBad,
    Loop,
    EndLoop,
    Count,
    Clear,
    Stat,
    Info,
    Channel,
    GetGuid,
    SetGuid(&'static str),
    SetGuidBad,
    SetFilter(&'static str),
    SetMask(&'static str),
    /// Filter and mask in one frame.
    SetBoth(&'static str, &'static str),
    SetFilterBad,
    SetMaskBad,
    Interfaces,
    CloseInterface,
    CloseInterfaceBad,
    Test,
    Shutdown,
    Restart,
    Unknown,
    ChangeMode,
    /// `+n`; 0 is a plain `+`.
    Repeat(usize),
    /// `++`.
    History,
    Empty,
    TooLong,
    Quit,
}

impl Step {
    /// True where there is such a thing in this mode.
    pub(crate) fn exists(self, binary: bool) -> bool {
        use Step::*;
        match self {
            Help(_) | SendVariable(_) | Repeat(_) | History | Empty | TooLong => !binary,
            SetBoth(..) => binary,
            _ => true,
        }
    }
}

/// Some steps; who leaves does nothing more.
pub(crate) fn steps() -> impl Strategy<Value = Vec<Step>> {
    use Step::*;
    let one = prop::sample::select(vec![
        Noop,
        Help(""),
        Help("send"),
        Help("x +OK -OK"),
        Version,
        Challenge,
        Capabilities,
        User("admin"),
        User("guest"),
        User("sender"),
        Pass(true),
        Pass(true),
        Pass(true),
        Pass(false),
        Send(ON),
        Send(OTHER),
        Send(CONTROL),
        SendBad,
        SendVariable(true),
        SendVariable(false),
        Retrieve,
        RetrieveBad,
        Loop,
        EndLoop,
        Count,
        Clear,
        Stat,
        Info,
        Channel,
        GetGuid,
        SetGuid(GUID),
        SetGuid(OTHER_GUID),
        SetGuidBad,
        SetFilter(FILTER),
        SetFilter(OTHER_FILTER),
        SetMask(FILTER),
        SetMask(OTHER_FILTER),
        SetBoth(FILTER, OTHER_FILTER),
        SetFilterBad,
        SetMaskBad,
        Interfaces,
        CloseInterface,
        CloseInterfaceBad,
        Test,
        Shutdown,
        Restart,
        Unknown,
        ChangeMode,
        ChangeMode,
        Repeat(0),
        Repeat(1),
        Repeat(7),
        Repeat(60),
        History,
        Empty,
        TooLong,
    ]);
    (prop::collection::vec(one, 1..150), any::<bool>()).prop_map(|(mut steps, leaves)| {
        steps.extend(leaves.then_some(Quit));
        steps
    })
}

/// The step as a line of text.
pub(crate) fn line(step: Step) -> String {
    use Step::*;
    match step {
        Noop => "noop".into(),
        Help(topic) => format!("help {topic}").trim_end().into(),
        Version => "VERS".into(),
        Challenge => "challenge x".into(),
        Capabilities => "wcyd".into(),
        User(name) => format!("user {name}"),
        Pass(right) => format!("pass {}", if right { "secret" } else { "wrong" }),
        Send(event) => format!("send {event}"),
        SendBad => "send 0,20,x".into(),
        SendVariable(known) => format!("SEND ${}", if known { "on" } else { "off" }),
        Retrieve => "retr 2".into(),
        RetrieveBad => "retr x".into(),
        Loop => "rcvloop".into(),
        EndLoop => "quitloop".into(),
        Count => "cdta".into(),
        Clear => "clra".into(),
        Stat => "stat".into(),
        Info => "info".into(),
        Channel => "chid".into(),
        GetGuid => "ggid".into(),
        SetGuid(guid) => format!("sgid {guid}"),
        SetGuidBad => "sgid 1:2:3".into(),
        SetFilter(filter) => format!("sflt {filter}"),
        SetMask(mask) => format!("smsk {mask}"),
        SetFilterBad => "sflt 1,20".into(),
        SetMaskBad => "smsk 1,20,3,x".into(),
        Interfaces => "interface list".into(),
        CloseInterface => format!("interface Close {GUID}"),
        CloseInterfaceBad => "interface close 1:2".into(),
        Test => "test".into(),
        Shutdown => "shutdown".into(),
        Restart => "restart".into(),
        Unknown => "xyzzy".into(),
        ChangeMode => "binary".into(),
        Repeat(0) => "+".into(),
        Repeat(back) => format!("+{back}"),
        History => "++".into(),
        Empty => " \t".into(),
        Quit => "quit".into(),
        SetBoth(..) | TooLong => panic!("{step:?} is no line"),
    }
}

/// The same as a frame. Its CRC may end in zero, and the reader knows what to make of that.
pub(crate) fn wire(step: Step, iv: u64, cipher: &Cipher) -> Vec<u8> {
    use Step::*;
    let guid = |text: &str| text.parse::<Guid>().unwrap().bytes().to_vec();
    let (code, argument): (u16, Vec<u8>) = match step {
        Noop => (0, vec![]),
        Version => (16, vec![]),
        Challenge => (4, vec![]),
        Capabilities => (21, vec![]),
        User(name) => (2, name.into()),
        Pass(right) => (3, if right { "secret" } else { "wrong" }.into()),
        Send(_) => (0, vec![]),
        SendBad => (5, vec![0; 20]),
        Retrieve => (6, vec![0, 2]),
        RetrieveBad => (6, vec![1, 2, 3, 4]),
        Loop => (7, vec![]),
        EndLoop => (8, vec![]),
        Count => (9, vec![]),
        Clear => (10, vec![]),
        Stat => (11, vec![]),
        Info => (12, vec![]),
        Channel => (13, vec![]),
        GetGuid => (15, vec![]),
        SetGuid(text) => (14, guid(text)),
        SetGuidBad => (14, vec![1, 2, 3]),
        SetFilter(filter) => (17, bytes(filter)),
        SetMask(mask) => (18, bytes(mask)),
        SetBoth(filter, mask) => (17, [bytes(filter), bytes(mask)].concat()),
        SetFilterBad => (17, vec![1, 20]),
        SetMaskBad => (18, vec![1, 20]),
        Interfaces => (19, vec![]),
        CloseInterface => (19, [2_u16, INDEX].map(u16::to_be_bytes).concat()),
        CloseInterfaceBad => (19, [9_u16, INDEX].map(u16::to_be_bytes).concat()),
        Test => (20, vec![]),
        Shutdown => (22, vec![]),
        Restart => (23, vec![]),
        Unknown => (999, vec![]),
        ChangeMode => (24, vec![]),
        Quit => (1, vec![]),
        Help(_) | SendVariable(_) | Repeat(_) | History | Empty | TooLong => {
            panic!("{step:?} is no frame")
        }
    };
    let mut plain = Vec::new();
    if let Send(event) = step {
        // The GUID of zeros is the channel's.
        let defaults = Defaults {
            now: NOW,
            obid: 0,
            guid: Guid::ZERO,
        };
        let event = parse(event, &defaults).unwrap();
        frame::write(&event, Generation::V2, &mut plain);
    } else {
        plain.push(0xE0);
        plain.extend(code.to_be_bytes());
        plain.extend(argument);
        let crc = frame::crc(&plain[1..]);
        plain.extend(crc.to_be_bytes());
    }
    let mut out = Vec::new();
    cipher.seal_with((u128::from(iv) << 64).to_be_bytes(), &plain, &mut out);
    out
}

/// A filter as frames have it.
fn bytes(filter: &str) -> Vec<u8> {
    let filter: Filter = filter.parse().unwrap();
    let mut bytes = vec![filter.priority];
    bytes.extend(filter.class.to_be_bytes());
    bytes.extend(filter.vscp_type.to_be_bytes());
    bytes.extend(filter.guid.bytes());
    bytes
}
