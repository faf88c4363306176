//! Events that crash the daemon when it publishes them.
//!
//! Daemons up to 15.1 write JSON, XML and the comma form into 1024 bytes without looking at the
//! length, and take the value out of level II measurements without looking whether there is one.
//! Anybody who may send events could end such a daemon, so it is not given them.

use crate::config::model::{DaemonEntry, WriteFormat};
use crate::event::Event;
use crate::wire::payload::{self, Style};

/// What the daemon's buffer holds, with some room for what it may change in an event.
const MOST: usize = 1000;

/// What a daemon cannot bear.
#[derive(Clone, Debug, Default)]
pub(super) struct Frailty {
    formats: Vec<WriteFormat>,
    style: Style,
}

impl Frailty {
    /// Of a daemon that publishes as its entry says.
    pub(super) fn of(daemon: &DaemonEntry, style: Style) -> Self {
        let publish = daemon.mqtt.iter().flat_map(|mqtt| &mqtt.publish);
        let mut formats: Vec<WriteFormat> = publish
            .map(|publication| publication.format)
            .filter(|format| *format != WriteFormat::Binary)
            .collect();
        formats.dedup();
        Self { formats, style }
    }

    /// True where the daemon can publish the event.
    pub(super) fn bears(&self, event: &Event) -> bool {
        let json = self.formats.contains(&WriteFormat::Json) && self.style.measurement_block;
        let size = event.data.len();
        let measured = match event.class {
            1040 => size == 0 || size >= 5,
            1060 => size == 12,
            _ => true,
        };
        (measured || !json) && self.formats.iter().all(|format| self.fits(event, *format))
    }

    fn fits(&self, event: &Event, format: WriteFormat) -> bool {
        // Nothing of this size comes near in any format.
        if event.data.len() <= 128 {
            return true;
        }
        let style = Style {
            measurement_block: false,
            ..self.style
        };
        let mut bytes = Vec::new();
        payload::write(event, format, style, &mut bytes);
        bytes.len() <= MOST
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::text::{Defaults, parse};
    use crate::event::{Data, Guid};

    fn event(class: u16, size: usize, byte: u8) -> Event {
        let defaults = Defaults {
            now: 1_700_000_000_000_000_000,
            obid: 0,
            guid: Guid::ZERO,
        };
        let mut event = parse("0xFCFF,20,65535,0xFFFFFFFF,,,::1", &defaults).unwrap();
        event.class = class;
        event.data = Data::try_from(vec![byte; size]).unwrap();
        event
    }

    fn frailty(formats: &[WriteFormat]) -> Frailty {
        Frailty {
            formats: formats.to_vec(),
            style: Style::default(),
        }
    }

    #[test]
    fn what_does_not_fit_the_buffer() {
        let most = |format, byte| {
            let frailty = frailty(&[format]);
            (0..=512)
                .rev()
                .find(|&size| frailty.bears(&event(65535, size, byte)))
                .unwrap()
        };
        // The longest that daemons were seen to bear: json 197, string 185, xml 164.
        assert!((180..=197).contains(&most(WriteFormat::Json, 255)));
        assert!((170..=185).contains(&most(WriteFormat::Text, 255)));
        assert!((150..=164).contains(&most(WriteFormat::Xml, 255)));
        assert!(frailty(&[]).bears(&event(20, 512, 255)));
        assert!(most(WriteFormat::Json, 1) > 300);
    }

    #[test]
    fn measurements_without_a_value() {
        let json = frailty(&[WriteFormat::Json]);
        let bears = |class, size| json.bears(&event(class, size, 49));
        assert_eq!(
            [0, 4, 11, 12, 13].map(|n| bears(1060, n)),
            [false, false, false, true, false]
        );
        assert_eq!(
            [0, 1, 3, 4, 5].map(|n| bears(1040, n)),
            [true, false, false, false, true]
        );
        assert!(frailty(&[WriteFormat::Text]).bears(&event(1060, 0, 0)));
    }
}
