//! From client to client, without a broker.

use std::thread;

use crate::client::{blast, count_lines, open_without, receiver};
use crate::{COUNT, rate, timed};

/// To the others at once (`interconnect`): what the link server does by itself.
pub(crate) fn clients() -> bool {
    let (driver, address) = open_without("\"interconnect\": true,");
    rate("pipelined SEND, nobody listens", COUNT, || {
        timed(|| blast(address, COUNT).join().unwrap())
    });
    for clients in [1, 10] {
        let what = format!("pipelined SEND to {clients} other clients, to all together");
        rate(&what, clients * COUNT, || {
            let mut streams: Vec<_> = (0..clients).map(|_| receiver(address)).collect();
            timed(|| {
                let sender = blast(address, COUNT);
                thread::scope(|scope| {
                    for stream in &mut streams {
                        scope.spawn(|| count_lines(stream, COUNT));
                    }
                });
                sender.join().unwrap();
            })
        });
    }
    driver.close();
    true
}
