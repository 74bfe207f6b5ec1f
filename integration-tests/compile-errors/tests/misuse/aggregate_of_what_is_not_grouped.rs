use kappa_core::codec::{i64_be, utf8};
use kappa_core::topology::Topology;

fn main() {
    let mut app = Topology::builder();
    let words = app.stream("in", utf8(), utf8());
    words.count("words").to("counts");
    words.reduce("longest", |a: String, b: &String| if a.len() < b.len() { b.clone() } else { a }).to("longest");
    words.aggregate("lengths", i64_be(), || 0, |_, word, sum: i64| sum + word.len() as i64).to("lengths");
}
