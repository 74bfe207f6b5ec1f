use kappa_core::codec::{i64_be, utf8};
use kappa_core::topology::Topology;

struct Order;

fn main() {
    let mut app = Topology::builder();
    let lengths = app.stream("in", utf8(), utf8()).map_values(|_, text: &String| text.len() as i64);
    lengths.with_value_codec(utf8()).to("out");
    app.stream::<String, Order>("orders", utf8(), i64_be()).to("more");
}
