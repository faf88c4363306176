//! Values with a form of their own: filters in one text, and origins.

use crate::config::driver::text_if_set;
use crate::config::form;
use crate::config::node::Node;
use crate::config::report::Report;
use crate::event::number::clip;
use crate::event::{Filter, FilterPair};

/// `FILTER;MASK`, or the eight fields of both with commas.
pub(super) fn filter(node: Option<Node<'_>>, report: &mut Report) -> FilterPair {
    let Some((node, text)) = text_if_set(node, report) else {
        return FilterPair::default();
    };
    report.form(&node, form::filter_and_mask);
    let (filter, mask) = match halves(&text) {
        Some((filter, mask)) => (filter, Some(mask)),
        None => (text.as_str(), None),
    };
    if mask.is_none() {
        report.warn(
            &node,
            "a filter without a mask has no effect; write the mask behind it: FILTER;MASK",
        );
    }
    let mut half = |text: &str| {
        text.parse::<Filter>().unwrap_or_else(|error| {
            report.refuse(&node, &error);
            Filter::default()
        })
    };
    FilterPair {
        filter: half(filter),
        mask: mask.map(half).unwrap_or_default(),
    }
}

fn halves(text: &str) -> Option<(&str, &str)> {
    let halves = text.split_once(';');
    halves.or_else(|| {
        // A GUID may have commas of its own, within braces.
        let mut depth = 0_i32;
        let mut commas = text.char_indices().filter(|&(_, c)| {
            depth += i32::from(c == '{') - i32::from(c == '}');
            c == ',' && depth <= 0
        });
        let (middle, _) = commas.nth(3)?;
        // With a fourth comma and no more it is a filter with a number.
        commas.next()?;
        Some((&text[..middle], &text[middle + 1..]))
    })
}

/// The origins that may connect, as browsers write them; empty for all.
pub(super) fn origins(node: Option<Node<'_>>, report: &mut Report) -> Vec<String> {
    let Some(node) = node else { return Vec::new() };
    report.form(&node, form::origin);
    let texts = node.texts(report).unwrap_or_default();
    let mut origins = Vec::new();
    for text in texts.iter().map(|text| text.trim()) {
        match origin(text) {
            Some(one) => origins.push(one),
            None if matches!(text, "" | "*") => {}
            None => {
                let found = clip(text);
                report.error(
                    &node,
                    format!(
                        "{found:?} is no origin; scheme://host, scheme://host:port, null, or * \
                         for all was expected"
                    ),
                );
            }
        }
    }
    if texts.iter().any(|text| text.trim() == "*") {
        origins.clear();
    }
    origins
}

fn origin(text: &str) -> Option<String> {
    let text = text.to_ascii_lowercase();
    if text == "null" {
        return Some(text);
    }
    let (scheme, rest) = text.split_once("://")?;
    let scheme_is_good = scheme.starts_with(|c: char| c.is_ascii_lowercase())
        && (scheme.chars()).all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    let (host, port) = match rest.rsplit_once(':') {
        // Within brackets it is a part of an address.
        Some((host, port)) if !port.contains(']') => (host, Some(port.parse::<u16>().ok()?)),
        _ => (rest, None),
    };
    let inner = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    let host_is_good = match inner {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
            !host.is_empty() && host.chars().all(good)
        }
    };
    if !scheme_is_good || !host_is_good {
        return None;
    }
    let usual = match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    };
    Some(match port.filter(|_| port != usual) {
        Some(port) => format!("{scheme}://{host}:{port}"),
        None => format!("{scheme}://{host}"),
    })
}
