//! `vscp-link check`: what is wrong with configuration files, and where.

use std::io::{self, Write};
use std::path::Path;

use vscpl2drv_link::config::{self, Severity};
use vscpl2drv_link::error::with_causes;
use vscpl2drv_link::net::tls::client;
use vscpl2drv_link::net::tls::server::Acceptor;

use crate::args::CheckArgs;
use crate::failure::{Failure, printable, verdict_behind};

/// Prints every problem and a summary.
pub(crate) fn run(args: &CheckArgs) -> Result<(), Failure> {
    let mut lines = Vec::new();
    let (mut errors, mut warnings) = (0, 0);
    for file in &args.files {
        let report = config::check_file(file);
        for problem in report.problems() {
            match problem.severity {
                Severity::Error => errors += 1,
                Severity::Warning => warnings += 1,
            }
            lines.push(problem.to_string());
        }
    }
    for file in &args.files {
        // Certificates and keys that the driver would not start without.
        for error in unusable(file) {
            errors += 1;
            lines.push(error);
        }
    }
    let count = |number: usize, what: &str| match number {
        1 => format!("1 {what}"),
        number => format!("{number} {what}s"),
    };
    let files = count(args.files.len(), "file");
    lines.push(format!(
        "{files}: {}, {}",
        count(errors, "error"),
        count(warnings, "warning")
    ));
    let text: String = lines.iter().map(|line| printable(line) + "\n").collect();
    let printed = io::stdout().lock().write_all(text.as_bytes());
    let verdict = match errors {
        0 => Ok(()),
        _ => Err(Failure::Reported),
    };
    verdict_behind(printed, verdict)
}

/// What TLS lacks.
fn unusable(file: &Path) -> Vec<String> {
    let Ok((driver, _)) = config::load_driver(&file.to_string_lossy()) else {
        return Vec::new();
    };
    let brokers = driver.mqtt.iter().filter_map(|mqtt| mqtt.tls.as_ref());
    let outward = brokers.filter_map(|tls| client::config(tls).err());
    let inward = driver.tls.and_then(|tls| Acceptor::new(tls).err());
    outward
        .chain(inward)
        .map(|error| {
            let text = with_causes(&error);
            let name = file.display();
            // Some keys are told with their file.
            let text = text.strip_prefix(&format!("{name}: ")).unwrap_or(&text);
            format!("{name}: error: {text}")
        })
        .collect()
}
