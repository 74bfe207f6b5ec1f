use kappa_core::codec::{i64_be, utf8};
use kappa_core::dsl::JoinWindows;
use kappa_core::topology::Topology;

fn main() {
    let mut app = Topology::builder();
    let by_number = app.table("by-number", i64_be(), utf8());
    let numbers = app.stream("numbers", i64_be(), utf8());
    let names = app.stream("names", utf8(), utf8());
    names.join(&by_number, |name, number| format!("{name} {number}")).with_value_codec(utf8()).to("a");
    names
        .join_within("near", &numbers, JoinWindows::within_ms(10, 0), |name, number| format!("{name} {number}"))
        .with_value_codec(utf8())
        .to("b");
    app.table("by-name", utf8(), utf8()).join(&by_number, |one, other| format!("{one} {other}")).to_stream().with_value_codec(utf8()).to("c");
}
