//! The suites on both backends.
#![allow(clippy::unwrap_used)]
#![cfg(feature = "testing")]

use kappa_state::testing::{Place, check_backend, check_buffer, check_expiring};
use kappa_state::{MemoryBackend, StateBackend};

fn memory_place() -> Box<Place<'static>> {
    let backend = MemoryBackend::new();
    Box::new(move || Box::new(backend.clone()) as Box<dyn StateBackend>)
}

#[test]
fn memory_keeps_the_contract_of_a_backend() {
    check_backend(memory_place, 500);
}

#[test]
fn the_buffer_keeps_its_contract_over_memory() {
    check_buffer(memory_place, 1_000);
}

#[test]
fn window_and_session_stores_keep_their_contract_over_memory() {
    check_expiring(memory_place, 1_500);
}

#[cfg(feature = "rocksdb")]
mod rocks {
    use super::*;
    use kappa_state::{MemoryBudget, RocksBackend, RocksOptions};

    fn rocks_place(memory: &MemoryBudget) -> Box<Place<'static>> {
        let dir = tempfile::tempdir().unwrap();
        let memory = memory.clone();
        Box::new(move || {
            let options = RocksOptions {
                path: dir.path().to_owned(),
                application_id: "conformance-v1".into(),
                topology_fingerprint: "f00d".into(),
                memory: memory.clone(),
            };
            Box::new(RocksBackend::open(&options).unwrap()) as Box<dyn StateBackend>
        })
    }

    #[test]
    fn rocksdb_keeps_the_contract_of_a_backend() {
        let memory = MemoryBudget::new(16 << 20);
        check_backend(|| rocks_place(&memory), 10);
    }

    #[test]
    fn the_buffer_keeps_its_contract_over_rocksdb() {
        let memory = MemoryBudget::new(16 << 20);
        check_buffer(|| rocks_place(&memory), 30);
    }

    #[test]
    fn window_and_session_stores_keep_their_contract_over_rocksdb() {
        let memory = MemoryBudget::new(16 << 20);
        check_expiring(|| rocks_place(&memory), 30);
    }
}
