//! A client's configuration, and the client made from it.

use super::client::{Opaque, on_error, on_log};
use super::produce::on_new_producer;
use super::{Client, Hooks, c_string, text_of};
use rdkafka::bindings as ffi;
use std::ffi::{c_char, c_int};
use std::ptr::{self, NonNull};
use std::sync::Arc;

/// The two kinds of client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Kind {
    Producer,
    Consumer,
}

/// A configuration, until a client is made from it.
#[derive(Debug)]
pub(in super::super) struct Conf(NonNull<ffi::rd_kafka_conf_t>);

impl Conf {
    /// librdkafka's defaults. `None` only where memory is out.
    pub(in super::super) fn new() -> Option<Self> {
        // SAFETY: no arguments; the object is ours.
        NonNull::new(unsafe { ffi::rd_kafka_conf_new() }).map(Self)
    }

    /// Sets a property; the error is librdkafka's words.
    pub(in super::super) fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let (name, value) = (c_string(name), c_string(value));
        let mut text = [0 as c_char; 512];
        // SAFETY: all pointers live for the call; the buffer comes back terminated.
        let result = unsafe {
            ffi::rd_kafka_conf_set(self.0.as_ptr(), name.as_ptr(), value.as_ptr(), text.as_mut_ptr(), text.len())
        };
        if result == ffi::rd_kafka_conf_res_t::RD_KAFKA_CONF_OK {
            return Ok(());
        }
        // SAFETY: terminated by librdkafka.
        Err(unsafe { text_of(text.as_ptr()) })
    }

    /// Which happenings come as events on queues instead of callbacks.
    pub(in super::super) fn set_events(&mut self, events: i32) {
        // SAFETY: a live configuration object.
        unsafe { ffi::rd_kafka_conf_set_events(self.0.as_ptr(), events as c_int) };
    }

    /// Makes the producer note acknowledged offsets in the `Slot`s of its messages, and take records in parcels where
    /// it can.
    pub(in super::super) fn intercept(&mut self) {
        // SAFETY: a live configuration object, a static name, a function that lives for ever.
        unsafe {
            ffi::rd_kafka_conf_interceptor_add_on_new(
                self.0.as_ptr(),
                c"kappa".as_ptr(),
                Some(on_new_producer),
                ptr::null_mut(),
            );
        }
    }

    /// Makes the client; the error is librdkafka's words.
    pub(in super::super) fn build(self, kind: Kind, hooks: Arc<dyn Hooks>) -> Result<Arc<Client>, String> {
        let mut opaque = Box::new(Opaque::new(hooks));
        let raw_kind = match kind {
            Kind::Producer => ffi::rd_kafka_type_t::RD_KAFKA_PRODUCER,
            Kind::Consumer => ffi::rd_kafka_type_t::RD_KAFKA_CONSUMER,
        };
        let mut text = [0 as c_char; 512];
        // SAFETY: the configuration is live; the boxed opaque keeps its address and outlives the handle
        // (`Client` frees it after the handle); `on_error` has the callback's shape but for the error
        // code's type, which C passes as an int.
        let rk = unsafe {
            let conf = self.0.as_ptr();
            ffi::rd_kafka_conf_set_opaque(conf, ptr::from_mut(opaque.as_mut()).cast());
            ffi::rd_kafka_conf_set_log_cb(conf, Some(on_log));
            ffi::rd_kafka_conf_set_error_cb(conf, Some(on_error));
            ffi::rd_kafka_new(raw_kind, conf, text.as_mut_ptr(), text.len())
        };
        let Some(rk) = NonNull::new(rk) else {
            // On failure the configuration is still ours, and `self` gives it back.
            // SAFETY: terminated by librdkafka.
            return Err(unsafe { text_of(text.as_ptr()) });
        };
        std::mem::forget(self);
        if kind == Kind::Consumer {
            // One queue for everything that a consumer is told.
            // SAFETY: a live consumer handle.
            unsafe { ffi::rd_kafka_poll_set_consumer(rk.as_ptr()) };
        }
        // SAFETY: made just now with this opaque, owned by nothing else.
        Ok(unsafe { Client::own(rk, opaque) })
    }
}

impl Drop for Conf {
    fn drop(&mut self) {
        // SAFETY: ours, and not given to a client (`build` forgets it then).
        unsafe { ffi::rd_kafka_conf_destroy(self.0.as_ptr()) };
    }
}
