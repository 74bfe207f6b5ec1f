//! The state directory of a process: its lock and its manifest.
//!
//! The manifest says what the state belongs to. It is written once, when the directory is made, and
//! checked whenever it is opened; `FORMAT.md` has it byte by byte.
//!
//! **Invariants:** at most one process has a directory open; a directory is opened only for the
//! application and topology it was made for; a manifest is there in full or not at all.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use crate::StateError;

const MAGIC: &[u8; 8] = b"kappa-st";
const VERSION: u8 = 1;
const IDENTITY_LEN: usize = 16;
const MANIFEST: &str = "manifest";
const MANIFEST_NEW: &str = "manifest.new";
const LOCK: &str = "lock";

/// A locked state directory. Dropping it unlocks it.
#[derive(Debug)]
pub struct StateDirectory {
    path: PathBuf,
    identity: String,
    /// Held for its lock.
    _lock: File,
}

impl StateDirectory {
    /// Locks the directory and checks its manifest; creates both where they are not there.
    pub fn open(path: &Path, application_id: &str, topology_fingerprint: &str) -> Result<Self, StateError> {
        fs::create_dir_all(path).map_err(|error| io_error(path, "creating the state directory", &error))?;
        let lock = lock(path)?;
        let expected = Manifest {
            identity: String::new(),
            application_id: application_id.to_owned(),
            topology_fingerprint: topology_fingerprint.to_owned(),
        };
        let manifest = match read_if_there(&path.join(MANIFEST))? {
            Some(bytes) => {
                let found = Manifest::decode(&bytes).map_err(|reason| refusal(path, reason))?;
                expected.refuse_unless_fits(&found).map_err(|reason| refusal(path, reason))?;
                found
            }
            None => {
                refuse_foreign_files(path)?;
                let manifest = Manifest { identity: new_identity(), ..expected };
                write_manifest(path, &manifest.encode().map_err(|reason| refusal(path, reason))?)?;
                manifest
            }
        };
        Ok(Self { path: path.to_owned(), identity: manifest.identity, _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The directory's random name: 16 hexadecimal digits, made with the directory and kept as long as it
    /// is there.
    pub fn identity(&self) -> &str {
        &self.identity
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Manifest {
    identity: String,
    application_id: String,
    topology_fingerprint: String,
}

impl Manifest {
    fn encode(&self) -> Result<Vec<u8>, String> {
        let mut out = Vec::new();
        out.extend_from_slice(MAGIC);
        out.push(VERSION);
        out.extend_from_slice(self.identity.as_bytes());
        for text in [&self.application_id, &self.topology_fingerprint] {
            let len = u16::try_from(text.len()).map_err(|_| format!("a name of {} bytes is too long", text.len()))?;
            out.extend_from_slice(&len.to_be_bytes());
            out.extend_from_slice(text.as_bytes());
        }
        out.extend_from_slice(&crc32(&out).to_be_bytes());
        Ok(out)
    }

    fn decode(bytes: &[u8]) -> Result<Self, String> {
        let damaged = || {
            "the manifest is damaged; the state can't be trusted: remove the directory, it is restored from the changelogs"
                .to_owned()
        };
        let rest = bytes.strip_prefix(MAGIC).ok_or("the manifest is not one of kappa; choose another directory")?;
        let (&version, _) = rest.split_first().ok_or_else(damaged)?;
        if version != VERSION {
            return Err(format!(
                "it is in format {version}, this program reads format {VERSION}; run the program that wrote it, \
                 or remove the directory: it is restored from the changelogs"
            ));
        }
        let (body, crc) = bytes.split_last_chunk::<4>().ok_or_else(damaged)?;
        if crc32(body) != u32::from_be_bytes(*crc) {
            return Err(damaged());
        }
        let mut rest = &body[MAGIC.len() + 1..];
        let identity = take_text(&mut rest, IDENTITY_LEN).ok_or_else(damaged)?;
        let application_id = take_counted(&mut rest).ok_or_else(damaged)?;
        let topology_fingerprint = take_counted(&mut rest).ok_or_else(damaged)?;
        if !rest.is_empty() {
            return Err(damaged());
        }
        Ok(Self { identity, application_id, topology_fingerprint })
    }

    fn refuse_unless_fits(&self, found: &Manifest) -> Result<(), String> {
        if found.application_id != self.application_id {
            return Err(format!(
                "it holds the state of {}, this is {}; give each application its own KAPPA_STATE_DIR",
                found.application_id, self.application_id
            ));
        }
        if found.topology_fingerprint != self.topology_fingerprint {
            return Err(format!(
                "the topology of {} has changed since the state was written (fingerprint {} then, {} now); \
                 give the changed program a new version, or remove the directory to restore from the changelogs",
                self.application_id, found.topology_fingerprint, self.topology_fingerprint
            ));
        }
        Ok(())
    }
}

fn take_text(rest: &mut &[u8], len: usize) -> Option<String> {
    let (text, left) = rest.split_at_checked(len)?;
    *rest = left;
    String::from_utf8(text.to_vec()).ok()
}

fn take_counted(rest: &mut &[u8]) -> Option<String> {
    let (len, left) = rest.split_first_chunk::<2>()?;
    *rest = left;
    take_text(rest, u16::from_be_bytes(*len).into())
}

/// CRC-32 as in zip and Ethernet (polynomial 0xEDB88320, reflected).
fn crc32(bytes: &[u8]) -> u32 {
    let crc = bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 })
    });
    !crc
}

/// The keys of `RandomState` come from the system's randomness.
fn new_identity() -> String {
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    format!("{:016x}", hasher.finish())
}

fn lock(path: &Path) -> Result<File, StateError> {
    let file = path.join(LOCK);
    let failed = |error: io::Error| io_error(&file, "locking the state directory", &error);
    let mut lock =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&file).map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            let holder = match lock.read_to_string(&mut pid) {
                Ok(_) if !pid.trim().is_empty() => format!("process id {}", pid.trim()),
                _ => "process id unknown".to_owned(),
            };
            return Err(StateError::Locked { path: path.display().to_string(), holder });
        }
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    let mut write_pid = || {
        lock.set_len(0)?;
        lock.rewind()?;
        writeln!(lock, "{}", std::process::id())
    };
    write_pid().map_err(failed)?;
    Ok(lock)
}

fn read_if_there(file: &Path) -> Result<Option<Vec<u8>>, StateError> {
    match fs::read(file) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io_error(file, "reading the manifest", &error)),
    }
}

/// A directory without a manifest must be new: nothing in it but what a creation that was cut off leaves.
fn refuse_foreign_files(path: &Path) -> Result<(), StateError> {
    let failed = |error: &io::Error| io_error(path, "listing the state directory", error);
    for entry in fs::read_dir(path).map_err(|error| failed(&error))? {
        let name = entry.map_err(|error| failed(&error))?.file_name();
        if name != LOCK && name != MANIFEST_NEW {
            let reason = format!("it has no manifest but holds {}; choose an empty directory", name.display());
            return Err(refusal(path, reason));
        }
    }
    Ok(())
}

/// Under another name first, then renamed: a crash leaves a whole manifest or none.
fn write_manifest(path: &Path, bytes: &[u8]) -> Result<(), StateError> {
    let new = path.join(MANIFEST_NEW);
    let write = || {
        let mut file = File::create(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, path.join(MANIFEST))?;
        File::open(path)?.sync_all()
    };
    write().map_err(|error| io_error(&new, "writing the manifest", &error))
}

fn refusal(path: &Path, reason: impl Into<String>) -> StateError {
    StateError::Manifest { path: path.display().to_string(), reason: reason.into() }
}

/// Sorts an error of the file system.
pub(crate) fn io_error(path: &Path, operation: &'static str, error: &io::Error) -> StateError {
    let store = path.display().to_string();
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StateError::DiskFull { store },
        _ => StateError::Io { store, operation, reason: error.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: &Path) -> Result<StateDirectory, StateError> {
        StateDirectory::open(path, "flights-v1", "f00d")
    }

    #[test]
    fn the_checksum_is_the_published_one() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn the_bytes_are_as_documented() {
        let manifest = Manifest {
            identity: "0123456789abcdef".into(),
            application_id: "a-v1".into(),
            topology_fingerprint: "xyz".into(),
        };
        let bytes = manifest.encode().unwrap();
        assert_eq!(&bytes[..bytes.len() - 4], b"kappa-st\x010123456789abcdef\x00\x04a-v1\x00\x03xyz");
        assert_eq!(Manifest::decode(&bytes), Ok(manifest));
    }

    #[test]
    fn the_identity_stays_and_differs_between_directories() {
        let dir = tempfile::tempdir().unwrap();
        let first = open(dir.path()).unwrap().identity().to_owned();
        assert_eq!(first.len(), 16);
        assert!(first.bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert_eq!(open(dir.path()).unwrap().identity(), first);
        let other = tempfile::tempdir().unwrap();
        assert_ne!(open(other.path()).unwrap().identity(), first);
    }

    #[test]
    fn a_second_holder_is_refused_and_told_of_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let held = open(dir.path()).unwrap();
        let error = open(dir.path()).unwrap_err();
        assert!(
            matches!(&error, StateError::Locked { holder, .. } if *holder == format!("process id {}", std::process::id()))
        );
        drop(held);
        open(dir.path()).unwrap();
    }

    #[test]
    fn state_of_another_application_or_topology_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        drop(open(dir.path()).unwrap());
        let error = StateDirectory::open(dir.path(), "flights-v2", "f00d").unwrap_err().to_string();
        assert!(error.contains("flights-v1") && error.contains("flights-v2"), "{error}");
        let error = StateDirectory::open(dir.path(), "flights-v1", "beef").unwrap_err().to_string();
        assert!(error.contains("f00d") && error.contains("beef"), "{error}");
        open(dir.path()).unwrap();
    }

    #[test]
    fn every_damage_to_the_manifest_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        drop(open(dir.path()).unwrap());
        let file = dir.path().join(MANIFEST);
        let whole = fs::read(&file).unwrap();
        for len in 0..whole.len() {
            fs::write(&file, &whole[..len]).unwrap();
            assert!(matches!(open(dir.path()), Err(StateError::Manifest { .. })), "cut to {len}");
        }
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            fs::write(&file, &bytes).unwrap();
            assert!(matches!(open(dir.path()), Err(StateError::Manifest { .. })), "changed at {at}");
        }
        fs::write(&file, &whole).unwrap();
        open(dir.path()).unwrap();
    }

    #[test]
    fn a_creation_that_was_cut_off_is_done_again() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(MANIFEST_NEW), b"kappa-").unwrap();
        open(dir.path()).unwrap();
    }

    #[test]
    fn a_directory_with_other_files_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("letters.txt"), b"dear").unwrap();
        let error = open(dir.path()).unwrap_err().to_string();
        assert!(error.contains("letters.txt"), "{error}");
    }
}
