//! The seam's operations by name, for errors and for fault injection.

use crate::log::{DEFAULT_DEADLINE, LogError};

macro_rules! operations {
    ($($variant:ident $name:literal,)*) => {
        /// An operation of the log seam.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[allow(missing_docs, reason = "each is named after the method it stands for")]
        pub enum Operation {
            $($variant,)*
        }

        impl Operation {
            /// The operation as errors name it.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

operations! {
    CreateTopic "create topic",
    DescribeTopic "describe topic",
    ListTopics "list topics",
    DeleteTopic "delete topic",
    DeleteRecords "delete records",
    ListOffsets "offsets of partitions",
    DeleteGroup "delete group",
    Assign "assign",
    PollFetch "fetch",
    LookUpTopic "look topic up",
    Init "init",
    Begin "begin",
    Append "append",
    SendOffsets "send offsets",
    Commit "commit",
    Abort "abort",
    Flush "flush",
    CloseAppend "close appender",
    PollMembership "poll membership",
    Acknowledge "acknowledge",
    Leave "leave group",
    CommitOffsets "commit offsets",
    Committed "committed offsets",
    Peek "last decided offsets",
}

impl Operation {
    /// What a caller gets when the operation was done and its answer lost.
    pub(super) fn lost_answer(self) -> LogError {
        match self {
            Self::Commit | Self::Abort => {
                LogError::OutcomeUnknown { operation: self.name(), reason: "no answer came".to_owned() }
            }
            _ => LogError::Timeout { operation: self.name(), deadline: DEFAULT_DEADLINE },
        }
    }
}
