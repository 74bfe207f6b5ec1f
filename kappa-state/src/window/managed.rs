//! What the runtime sees of stores that wrap segmented rows.

/// What wraps segmented rows is managed as they are.
macro_rules! managed {
    ($store:ident) => {
        impl<V> std::fmt::Debug for $store<V> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_tuple(stringify!($store)).field(&self.rows).finish()
            }
        }

        impl<V: Send + 'static> crate::ManagedStore for $store<V> {
            fn id(&self) -> &crate::StoreId {
                self.rows.id()
            }

            fn mark(&self) -> Option<crate::Mark> {
                self.rows.mark()
            }

            fn restore(
                &mut self,
                records: &mut dyn Iterator<Item = (&[u8], Option<&[u8]>, i64)>,
                next_offset: i64,
            ) -> Result<(), StateError> {
                self.rows.restore(records, next_offset)
            }

            fn restoring_bytes(&self) -> crate::RestoringBytes {
                self.rows.restoring_bytes()
            }

            fn begin_write_restored(&mut self) -> Result<(), StateError> {
                self.rows.begin_write_restored()
            }

            fn end_write_restored(&mut self) -> Result<(), StateError> {
                self.rows.end_write_restored()
            }

            fn is_writing_restored(&self) -> bool {
                self.rows.is_writing_restored()
            }

            fn restored(&mut self, next_offset: i64, operator_time: &[u8]) -> Result<(), StateError> {
                self.rows.restored(next_offset, operator_time)
            }

            fn committed(
                &mut self,
                changelog_offset: Option<i64>,
                operator_time: &[u8],
                now_ms: i64,
            ) -> Result<(), StateError> {
                self.rows.committed(changelog_offset, operator_time, now_ms)
            }

            fn aborted(&mut self) {
                self.rows.aborted();
            }

            fn begin_record(&mut self) {
                self.rows.begin_record();
            }

            fn undo_record(&mut self) -> Result<bool, StateError> {
                self.rows.undo_record()
            }

            fn flush(&mut self, now_ms: i64, force: bool) -> Result<(), StateError> {
                self.rows.flush(now_ms, force)
            }

            fn reached(&self) -> Option<crate::Reached> {
                self.rows.reached()
            }

            fn resume_from(&mut self, reached: crate::Reached) {
                self.rows.resume_from(reached);
            }

            fn expired_until_ms(&self) -> Option<i64> {
                self.rows.expired_until_ms()
            }

            fn dirty_bytes(&self) -> usize {
                self.rows.dirty_bytes()
            }

            fn tail_records(&self) -> u64 {
                self.rows.tail_records()
            }

            fn tail_bytes(&self) -> u64 {
                self.rows.tail_bytes()
            }

            fn size_bytes(&self) -> u64 {
                self.rows.size_bytes()
            }
        }
    };
}

pub(super) use managed;
