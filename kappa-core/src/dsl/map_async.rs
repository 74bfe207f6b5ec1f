//! Operators that call asynchronously: a model is asked for a score, a service for what it knows of a customer.

use super::{AsyncOptions, CallError, KStream};
use crate::processor::{CallSettings, Calls, Cx, Dropped, Joint, Receiver, Results, Started};
use crate::record::Record;
use crate::task::{CallRunner, ProcessError, RunningCall};
use crate::topology::{Assembly, NodeId, TopicRef};
use futures::FutureExt;
use futures::future::{Either, select};
use std::future::Future;
use std::hash::Hash;
use std::marker::PhantomData;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;

impl<K, V> KStream<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + 'static,
{
    /// Makes a new value of each record by an asynchronous call; the key stays, so nothing is repartitioned. Null values pass, in
    /// their turn.
    ///
    /// Calls run beside the stream thread, in a tokio runtime. A commit waits for those under way, so that what is committed as
    /// processed has its results in the same transaction: exactly once for what kappa writes. The outside may be called more than
    /// once for a record (a retry, a restart). After a failure the record's call is tried again, as `options` say.
    ///
    /// ```
    /// # use kappa_core::{codec::{i64_be, utf8}, dsl::{AsyncOptions, CallError}, testing::TestDriver, topology::Topology};
    /// async fn score(text: &str) -> Result<i64, CallError> {
    ///     Ok(text.len() as i64) // ask a model here
    /// }
    ///
    /// let mut app = Topology::builder();
    /// app.stream("texts", utf8(), utf8())
    ///     .map_values_async(AsyncOptions::concurrency(16), |_, text| async move { score(&text).await })
    ///     .with_value_codec(i64_be())
    ///     .to("scores");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// driver.input("texts", utf8(), utf8()).pipe("a", "four", 5)?;
    /// assert_eq!(driver.output("scores", utf8(), i64_be()).read_all()?, [("a".into(), Some(4), 5)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn map_values_async<V2: Send + 'static, F>(
        &self,
        options: AsyncOptions,
        call: impl Fn(K, V) -> F + Send + Sync + 'static,
    ) -> KStream<K, V2>
    where
        F: Future<Output = Result<V2, CallError>> + Send + 'static,
    {
        let call = move |key: K, value: V| {
            let result = call(key.clone(), value);
            async move { Ok(vec![(key, Some(result.await?))]) }
        };
        self.new_values(self.calls("map_values_async", options, true, call))
    }

    /// Makes a new record of each by an asynchronous call: as [`map_values_async`](Self::map_values_async), with a new key too.
    /// Records whose value is null are dropped and counted (`null-value`).
    ///
    /// ```
    /// # use kappa_core::{codec::{i64_be, utf8}, dsl::AsyncOptions, testing::TestDriver, topology::Topology};
    /// let mut app = Topology::builder();
    /// app.stream("texts", utf8(), utf8())
    ///     .map_async(AsyncOptions::default(), |key, text| async move { Ok((text.len() as i64, key)) })
    ///     .with_codecs(i64_be(), utf8())
    ///     .to("by-length");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// driver.input("texts", utf8(), utf8()).pipe("a", "four", 5)?;
    /// assert_eq!(driver.output("by-length", i64_be(), utf8()).read_all()?, [(4, Some("a".into()), 5)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn map_async<K2: Send + 'static, V2: Send + 'static, F>(
        &self,
        options: AsyncOptions,
        call: impl Fn(K, V) -> F + Send + Sync + 'static,
    ) -> KStream<K2, V2>
    where
        F: Future<Output = Result<(K2, V2), CallError>> + Send + 'static,
    {
        let call = move |key: K, value: V| {
            let result = call(key, value);
            async move { result.await.map(|(key, value)| vec![(key, Some(value))]) }
        };
        self.new_records(self.calls("map_async", options, false, call))
    }

    /// Makes any number of records of each by an asynchronous call: as [`map_async`](Self::map_async). The records of one call go on
    /// together.
    ///
    /// ```
    /// # use kappa_core::{codec::utf8, dsl::AsyncOptions, testing::TestDriver, topology::Topology};
    /// let mut app = Topology::builder();
    /// app.stream("lines", utf8(), utf8())
    ///     .flat_map_async(AsyncOptions::default(), |key, line| async move {
    ///         Ok(line.split(' ').map(|word| (key.clone(), word.to_owned())).collect::<Vec<_>>())
    ///     })
    ///     .with_codecs(utf8(), utf8())
    ///     .to("words");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// driver.input("lines", utf8(), utf8()).pipe("k", "a b", 5)?;
    /// assert_eq!(driver.output("words", utf8(), utf8()).read_values()?, [Some("a".into()), Some("b".into())]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn flat_map_async<K2: Send + 'static, V2: Send + 'static, I, F>(
        &self,
        options: AsyncOptions,
        call: impl Fn(K, V) -> F + Send + Sync + 'static,
    ) -> KStream<K2, V2>
    where
        I: IntoIterator<Item = (K2, V2)>,
        F: Future<Output = Result<I, CallError>> + Send + 'static,
    {
        let call = move |key: K, value: V| {
            let results = call(key, value);
            async move { Ok(results.await?.into_iter().map(|(key, value)| (key, Some(value))).collect()) }
        };
        self.new_records(self.calls("flat_map_async", options, false, call))
    }

    fn calls<K2: Send + 'static, V2: Send + 'static, F>(
        &self,
        operator: &str,
        options: AsyncOptions,
        keeps_key: bool,
        call: impl Fn(K, V) -> F + Send + Sync + 'static,
    ) -> NodeId
    where
        F: Future<Output = Result<Results<K2, V2>, CallError>> + Send + 'static,
    {
        let call = Arc::new(call);
        self.operator(operator, move |assembly: &mut Assembly<'_>, node| {
            let settings = CallSettings {
                operator: assembly.name(node),
                concurrency: options.concurrency,
                order: options.order,
                patience_ms: options.deadline_ms.saturating_add(PATIENCE_MS),
                stop_on_failure: options.stop_on_failure,
            };
            let next: Joint<K2, V2> = assembly.joint(node);
            let slot = assembly.calls(node, Box::new(Calls::<K, K2, V2>::new(settings, next)));
            let types = PhantomData;
            let (runner, sources) = (assembly.call_runner(), assembly.sources());
            let partition = assembly.partition();
            AsyncCall { call: Arc::clone(&call), options, keeps_key, slot, runner, sources, partition, types }
        })
    }
}

/// A report may be late by so much: then its call has been lost.
const PATIENCE_MS: u64 = 5_000;
const BACK_OFF_MAX_MS: u64 = 10_000;

struct AsyncCall<K, V, K2, V2, C> {
    call: Arc<C>,
    options: AsyncOptions,
    /// The operator makes values only: a null value goes on with its key.
    keeps_key: bool,
    slot: usize,
    runner: Arc<dyn CallRunner>,
    sources: Vec<TopicRef>,
    partition: i32,
    #[expect(clippy::type_complexity, reason = "only types")]
    types: PhantomData<fn(K, V) -> (K2, V2)>,
}

impl<K, V, K2, V2, C> AsyncCall<K, V, K2, V2, C> {
    /// Which record it is, for messages.
    fn place(&self, cx: &Cx<'_>) -> String {
        match cx.origin.and_then(|origin| Some((self.sources.get(origin.source)?, origin.offset))) {
            Some((topic, offset)) => {
                format!("{}, partition {}, offset {offset}", crate::topology::display(topic), self.partition)
            }
            None => "a change of a table".to_owned(),
        }
    }
}

impl<K, V, K2, V2, C, F> Receiver<K, V> for AsyncCall<K, V, K2, V2, C>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + 'static,
    K2: Send + 'static,
    V2: Send + 'static,
    C: Fn(K, V) -> F + Send + Sync + 'static,
    F: Future<Output = Result<Results<K2, V2>, CallError>> + Send + 'static,
{
    fn receive(&mut self, record: &Record<'_, K, V>, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        let key = record.key()?.clone();
        let value = record.value()?.cloned();
        let place = self.place(cx);
        let (call, options, runner) = (&self.call, self.options, &self.runner);
        let start: Started<'_, Results<K2, V2>> = match value {
            Some(value) => {
                let (call, runner, key) = (Arc::clone(call), Arc::clone(runner), key.clone());
                Started::Call(Box::new(move |reporter| -> Box<dyn RunningCall> {
                    let timer = Arc::clone(&runner);
                    runner.run(Box::pin(async move {
                        let attempts = attempts(&*call, options, &*timer, key, value);
                        let outcome = AssertUnwindSafe(attempts).catch_unwind().await;
                        reporter.report(outcome.unwrap_or_else(|_| Err("it panicked".to_owned())));
                    }))
                }))
            }
            None if self.keeps_key => match same_key(&key) {
                Some(key) => Started::Done(vec![(key, None)]),
                None => return cx.drop_record(Dropped::NullValue),
            },
            None => return cx.drop_record(Dropped::NullValue),
        };
        cx.with_calls(self.slot, |calls, cx| match calls.any().downcast_mut::<Calls<K, K2, V2>>() {
            Some(calls) => calls.add(key, record, place, start, cx),
            None => unreachable!("a place for calls has the type it was made with"),
        })
    }
}

/// The key as one of the result's type, which is the same where keys are kept.
fn same_key<K: Clone + 'static, K2: 'static>(key: &K) -> Option<K2> {
    let key: Box<dyn std::any::Any> = Box::new(key.clone());
    key.downcast::<K2>().ok().map(|key| *key)
}

/// Calls until it succeeds, fails for good, or takes too long.
async fn attempts<K, V, R, F>(
    call: &(impl Fn(K, V) -> F + Send + Sync),
    options: AsyncOptions,
    timer: &dyn CallRunner,
    key: K,
    value: V,
) -> Result<R, String>
where
    K: Clone,
    V: Clone,
    F: Future<Output = Result<R, CallError>>,
{
    let deadline = timer.deadline(options.deadline_ms);
    let trying = pin!(async move {
        let mut back_off_ms = options.back_off_ms;
        for attempt in 0.. {
            let called = call(key.clone(), value.clone());
            match called.await {
                Ok(results) => return Ok(results),
                Err(error) if !error.again => return Err(error.reason),
                Err(error) if attempt >= options.retries => {
                    return Err(format!("{} (after {} attempts)", error.reason, attempt + 1));
                }
                Err(_) => timer.back_off(back_off_ms).await,
            }
            back_off_ms = back_off_ms.saturating_mul(2).min(BACK_OFF_MAX_MS);
        }
        Err("no attempts are left".to_owned())
    });
    match select(trying, deadline).await {
        Either::Left((outcome, _)) => outcome,
        Either::Right(_) => Err(format!("it took longer than {} ms with all attempts", options.deadline_ms)),
    }
}
