//! Filter and mask: which events a channel wants.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::{Event, Guid, GuidError, NumberError, number};

/// One half of a [`FilterPair`]: the values of a filter, or the bits of a mask.
///
/// As text `priority,class,type,GUID`: numbers decimal or `0x`, the GUID in any of its forms,
/// missing fields 0. A fifth field, the number of a filter on devices that have several, is
/// read and not used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Priority 0 to 7, or its bits.
    pub priority: u8,
    /// Class.
    pub class: u16,
    /// Type.
    pub vscp_type: u16,
    /// GUID.
    pub guid: Guid,
}

/// A filter and its mask: an event passes where it equals the filter in all bits that are set in
/// the mask (VSCP specification, "SETFILTER"). Both zero, the default, let everything pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FilterPair {
    /// The values.
    pub filter: Filter,
    /// The bits of them that count.
    pub mask: Filter,
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            priority,
            class,
            vscp_type,
            guid,
        } = self;
        write!(f, "{priority},{class},{vscp_type},{guid}")
    }
}

impl FilterPair {
    /// True where the event passes.
    #[must_use]
    pub fn passes(&self, event: &Event) -> bool {
        if self.mask == Filter::default() {
            return true;
        }
        let (filter, mask) = (&self.filter, &self.mask);
        (event.head.priority() ^ filter.priority) & mask.priority == 0
            && (event.class ^ filter.class) & mask.class == 0
            && (event.vscp_type ^ filter.vscp_type) & mask.vscp_type == 0
            && (u128::from_be_bytes(*event.guid.bytes())
                ^ u128::from_be_bytes(*filter.guid.bytes()))
                & u128::from_be_bytes(*mask.guid.bytes())
                == 0
    }
}

/// Why a text is not a filter or a mask.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum FilterError {
    /// A number that is none, or out of range.
    #[error("the {0} of a filter or mask cannot be read")]
    Number(&'static str, #[source] NumberError),
    /// A GUID that is none.
    #[error("the GUID of a filter or mask cannot be read")]
    Guid(#[source] GuidError),
    /// Fewer than `priority,class,type,GUID` where all are needed.
    #[error("{0} fields were found, priority,class,type,GUID were expected")]
    Fields(usize),
}

impl Filter {
    /// As [`FromStr`], but all four fields must be there, as SETFILTER and SETMASK ask for.
    ///
    /// # Errors
    /// [`FilterError`]; nothing of a bad text is used.
    pub fn whole(text: &str) -> Result<Self, FilterError> {
        let fields = split(text).len();
        if fields < 4 {
            return Err(FilterError::Fields(fields));
        }
        text.parse()
    }
}

impl FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        let fields = split(text);
        let value = |at: usize, name, max| match fields.get(at).map(|f| f.trim()) {
            None | Some("") => Ok(0),
            Some(text) => number::parse(text, max).map_err(|e| FilterError::Number(name, e)),
        };
        let guid = match fields.get(3).map(|f| f.trim()) {
            None | Some("") => Guid::ZERO,
            Some(text) => text.parse().map_err(FilterError::Guid)?,
        };
        value(4, "number", u64::from(u16::MAX))?;
        if fields.len() > 5 {
            return Err(FilterError::Fields(fields.len()));
        }
        Ok(Self {
            priority: value(0, "priority", 7)? as u8,
            class: value(1, "class", 0xFFFF)? as u16,
            vscp_type: value(2, "type", 0xFFFF)? as u16,
            guid,
        })
    }
}

/// At the commas, but not at those inside the braces of a GUID.
fn split(text: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    text.split(|c| {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    })
    .collect()
}
