//! One librdkafka client and its end.

use super::{Code, text_of};
use rdkafka::bindings as ffi;
use std::ffi::{c_char, c_int, c_void};
use std::fmt;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

unsafe extern "C" {
    #[link_name = "rd_kafka_fatal_error"]
    fn fatal_error(rk: *mut ffi::rd_kafka_t, text: *mut c_char, size: usize) -> c_int;
}

/// What a client tells from threads of librdkafka's own.
pub(in super::super) trait Hooks: Send + Sync + fmt::Debug {
    /// A log line; `level` is syslog's.
    fn log(&self, level: i32, facility: &str, text: &str);

    /// A client-wide error; librdkafka goes on by itself unless it is fatal.
    fn error(&self, code: Code, text: &str);
}

/// What the callbacks find behind the client's opaque pointer.
pub(super) struct Opaque {
    pub(super) hooks: Arc<dyn Hooks>,
    /// Whether messages may be produced with stamps: see [`super::stamped`].
    pub(super) stamps: AtomicBool,
}

impl Opaque {
    pub(super) fn new(hooks: Arc<dyn Hooks>) -> Self {
        Self { hooks, stamps: AtomicBool::new(false) }
    }
}

/// One librdkafka client. Destroyed on a thread of its own when the last `Arc` goes.
pub(in super::super) struct Client {
    rk: NonNull<ffi::rd_kafka_t>,
    // Boxed: librdkafka keeps its address.
    opaque: Option<Box<Opaque>>,
    name: String,
}

// SAFETY: librdkafka's handle may be used from any thread, and from several at once; what needs one
// caller at a time (batch consume, transactions) is `&mut self` of the types outside.
unsafe impl Send for Client {}
// SAFETY: as above.
unsafe impl Sync for Client {}

impl Client {
    /// # Safety
    /// `rk` is a handle that nothing else destroys, made with `opaque` as its opaque pointer.
    pub(super) unsafe fn own(rk: NonNull<ffi::rd_kafka_t>, opaque: Box<Opaque>) -> Arc<Self> {
        // SAFETY: the handle is alive; the name is copied.
        let name = unsafe { text_of(ffi::rd_kafka_name(rk.as_ptr())) };
        Arc::new(Self { rk, opaque: Some(opaque), name })
    }

    /// The handle, alive as long as `self`.
    pub(super) fn raw(&self) -> *mut ffi::rd_kafka_t {
        self.rk.as_ptr()
    }

    /// What the callbacks find behind the client's opaque pointer.
    pub(super) fn opaque(&self) -> &Opaque {
        self.opaque.as_deref().expect("taken only when the client is dropped")
    }

    /// The error that made the client of no use, if there is one.
    pub(in super::super) fn fatal(&self) -> Option<(Code, String)> {
        let mut text = [0 as c_char; 512];
        // SAFETY: the buffer is writable for its size and comes back terminated.
        let code = unsafe { Code(fatal_error(self.raw(), text.as_mut_ptr(), text.len())) };
        // SAFETY: as above; librdkafka leaves it empty or terminated.
        (!code.is_ok()).then(|| (code, unsafe { text_of(text.as_ptr()) }))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Client").field(&self.name).finish()
    }
}

/// A handle on its way to the thread that destroys it.
struct Doomed {
    rk: NonNull<ffi::rd_kafka_t>,
    opaque: Option<Box<Opaque>>,
}

// SAFETY: the handle may be destroyed from any thread, and this is its only owner.
unsafe impl Send for Doomed {}

impl Drop for Client {
    fn drop(&mut self) {
        let doomed = Doomed { rk: self.rk, opaque: self.opaque.take() };
        let destroy = move || {
            let doomed = doomed;
            // A consumer that was not closed is left to its session's time-out, as by a crash.
            // SAFETY: the last owner; everything made from the handle is gone (each holds an `Arc`).
            unsafe {
                ffi::rd_kafka_destroy_flags(doomed.rk.as_ptr(), ffi::RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE as c_int);
            }
            drop(doomed.opaque);
        };
        // Without a thread the handle is leaked: better than blocking whoever dropped it.
        if let Err(error) = std::thread::Builder::new().name("kafka-destroy".into()).spawn(destroy) {
            tracing::warn!(client = %self.name, %error, "no thread to destroy a Kafka client; it is leaked");
        }
    }
}

/// librdkafka's log callback.
///
/// # Safety
/// Called by librdkafka with a live handle and terminated strings.
pub(super) unsafe extern "C" fn on_log(
    rk: *const ffi::rd_kafka_t,
    level: c_int,
    facility: *const c_char,
    text: *const c_char,
) {
    if rk.is_null() {
        return;
    }
    // SAFETY: the opaque pointer is null or the `Opaque` that lives as long as the handle.
    unsafe {
        if let Some(opaque) = ffi::rd_kafka_opaque(rk).cast::<Opaque>().as_ref() {
            opaque.hooks.log(level, &text_of(facility), &text_of(text));
        }
    }
}

/// librdkafka's error callback.
///
/// # Safety
/// Called by librdkafka with the opaque pointer of the handle and a terminated string.
pub(super) unsafe extern "C" fn on_error(
    _rk: *mut ffi::rd_kafka_t,
    code: c_int,
    text: *const c_char,
    opaque: *mut c_void,
) {
    // SAFETY: null or the `Opaque` that lives as long as the handle.
    unsafe {
        if let Some(opaque) = opaque.cast::<Opaque>().as_ref() {
            opaque.hooks.error(Code(code), &text_of(text));
        }
    }
}
