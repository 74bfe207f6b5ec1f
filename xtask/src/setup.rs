//! The system packages that a full build and the test broker need. Each is looked for where the build will look; only what is
//! missing is installed, and only by root on Debian or Ubuntu. Everybody else is told the command.

use crate::{Failure, arguments::Arguments, run};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Something a build needs.
#[derive(Clone, Copy)]
struct Need {
    what: &'static str,
    /// Package names on Debian and Ubuntu; the first that the system knows is taken.
    packages: &'static [&'static str],
    present: fn() -> bool,
}

/// What the two C libraries need to be built: librdkafka (make, OpenSSL found by pkg-config) and RocksDB (C++20, libclang for its
/// bindings). zstd, lz4 and zlib come with the crates that use them.
const BUILD: &[Need] = &[
    Need { what: "a C compiler", packages: &["build-essential"], present: || runs("cc", "--version") },
    Need { what: "a C++ compiler", packages: &["build-essential"], present: || runs("c++", "--version") },
    Need { what: "make", packages: &["build-essential"], present: || runs("make", "--version") },
    Need { what: "pkg-config", packages: &["pkg-config"], present: || runs("pkg-config", "--version") },
    Need { what: "OpenSSL's headers", packages: &["libssl-dev"], present: openssl_present },
    Need { what: "libclang", packages: &["libclang-dev"], present: libclang_present },
];

/// What the broker needs that tests, benchmarks and the demo start.
const BROKER: &[Need] = &[
    Need {
        what: "Java 17 or newer",
        packages: &["openjdk-17-jre-headless", "openjdk-21-jre-headless", "default-jre-headless"],
        present: || kappa_test_broker::java_major().is_some_and(|major| major >= 17),
    },
    Need { what: "Maven", packages: &["maven"], present: kappa_test_broker::maven_present },
];

/// What the tests need that run Kafka Streams beside kappa.
const COMPARISON: &[Need] = &[Need {
    what: "Java's compiler, 17 or newer",
    packages: &["openjdk-17-jdk-headless", "openjdk-21-jdk-headless", "default-jdk-headless"],
    present: || kappa_test_broker::jvm::javac_major().is_some_and(|major| major >= 17),
}];

/// What a build without the C libraries needs: Rust links with the C compiler.
const LINKER: &[Need] =
    &[Need { what: "a C compiler", packages: &["build-essential"], present: || runs("cc", "--version") }];

/// Makes sure that everything links without the C libraries.
pub(crate) fn for_first_look() -> Result<(), Failure> {
    ensure(LINKER)
}

/// Makes sure that the C libraries can be built.
pub(crate) fn for_build() -> Result<(), Failure> {
    ensure(BUILD)
}

/// Makes sure that a broker can be started.
pub(crate) fn for_broker() -> Result<(), Failure> {
    ensure(BROKER)
}

/// Makes sure that Kafka Streams can be run beside kappa.
pub(crate) fn for_comparison() -> Result<(), Failure> {
    ensure(COMPARISON)
}

/// `cargo xtask setup`.
pub(crate) fn setup(arguments: Arguments) -> Result<(), Failure> {
    arguments.done()?;
    ensure(&[BUILD, BROKER, COMPARISON].concat())?;
    println!(
        "everything needed is there: C and C++ compiler, make, pkg-config, OpenSSL, libclang, Java with its compiler, Maven"
    );
    Ok(())
}

fn ensure(needs: &[Need]) -> Result<(), Failure> {
    let missing: Vec<&Need> = needs.iter().filter(|need| !(need.present)()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.iter().map(|need| need.what).collect::<Vec<_>>().join(", ");
    let packages = packages(&missing);
    if !runs("apt-get", "--version") {
        return Err(format!(
            "missing: {names}. Install them with your system's package manager (on Debian: {packages})"
        )
        .into());
    }
    if !is_root() {
        return Err(format!(
            "missing: {names}. Run this, then the same command again:\n  sudo apt-get install -y {packages}"
        )
        .into());
    }
    println!("missing: {names}");
    install(&missing)?;
    match missing.iter().find(|need| !(need.present)()) {
        None => Ok(()),
        Some(need) => Err(format!("{} is still not found after installing {packages}", need.what).into()),
    }
}

fn install(missing: &[&Need]) -> Result<(), Failure> {
    let apt = |words: &[&str]| {
        let mut command = Command::new("apt-get");
        command.args(words).env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null()).stdout(Stdio::null());
        command
    };
    run::step(&mut apt(&["update", "-q"]))?;
    // Which of several names the system knows is certain only now.
    let packages = packages(missing);
    let words: Vec<&str> =
        ["install", "-y", "-q", "--no-install-recommends"].into_iter().chain(packages.split(' ')).collect();
    run::step(&mut apt(&words)).map(drop)
}

fn packages(missing: &[&Need]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for need in missing {
        let known = need.packages.iter().find(|name| need.packages.len() == 1 || is_known_package(name));
        let name = known.unwrap_or(&need.packages[0]);
        if !names.contains(name) {
            names.push(name);
        }
    }
    names.join(" ")
}

fn is_known_package(name: &str) -> bool {
    let output = Command::new("apt-cache").args(["show", name]).output();
    output.is_ok_and(|output| output.status.success() && !output.stdout.is_empty())
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

fn runs(program: &str, argument: &str) -> bool {
    let mut command = Command::new(program);
    command.arg(argument).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn openssl_present() -> bool {
    run::variable("OPENSSL_DIR").is_some()
        || Command::new("pkg-config").args(["--exists", "openssl"]).status().is_ok_and(|status| status.success())
}

/// As bindgen looks for it: the folder that LIBCLANG_PATH names, then where systems keep it.
fn libclang_present() -> bool {
    let mut folders: Vec<PathBuf> = run::variable("LIBCLANG_PATH").map(PathBuf::from).into_iter().collect();
    folders.extend(["/usr/lib", "/usr/lib64", "/usr/local/lib"].map(PathBuf::from));
    for (parent, below) in
        [("/usr/lib", ""), ("/usr/lib", "lib"), ("/opt/homebrew/opt", "lib"), ("/usr/local/opt", "lib")]
    {
        let inner = std::fs::read_dir(parent).into_iter().flatten().flatten();
        folders.extend(inner.map(|entry| entry.path().join(below)));
    }
    folders.push(PathBuf::from("/Library/Developer/CommandLineTools/usr/lib"));
    folders.iter().any(|folder| holds_libclang(folder))
        && (!cfg!(target_os = "linux") || clang_headers_present(&folders))
}

/// The library alone is not enough: bindgen also reads clang's own `stddef.h`, which Debian packs apart from it.
fn clang_headers_present(folders: &[PathBuf]) -> bool {
    let clangs = folders.iter().flat_map(|folder| std::fs::read_dir(folder.join("clang"))).flatten().flatten();
    clangs.map(|version| version.path().join("include/stddef.h")).any(|header| header.is_file())
}

fn holds_libclang(folder: &Path) -> bool {
    let names = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
    names.map(|name| name.to_string_lossy().into_owned()).any(|name| {
        let stem = name.strip_prefix("libclang").unwrap_or("-");
        name == "libclang.dylib"
            || stem.starts_with(".so")
            || (stem.starts_with('-') && !stem.starts_with("-cpp") && stem.contains(".so"))
    })
}
