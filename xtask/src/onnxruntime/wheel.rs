//! The published wheels, one per platform, each fixed by its digest.

use std::env::consts::{ARCH, OS};

pub const VERSION: &str = "1.31.1";

/// The wheels of one Python version: the same file, whichever Python downloads it.
pub const PYTHON_VERSION: &str = "3.12";
pub const PYTHON_ABI: &str = "cp312";

/// Licence texts that lie in every wheel.
pub const NOTICES: [&str; 2] = ["LICENSE", "ThirdPartyNotices.txt"];

pub struct Wheel {
    pub os: &'static str,
    pub arch: &'static str,
    /// The platform's name in the wheel's file name.
    pub tag: &'static str,
    pub sha256: &'static str,
    /// The library inside the wheel.
    pub member: &'static str,
    pub member_sha256: &'static str,
    /// The library's name once unpacked: what this platform's programs look for.
    pub library: &'static str,
}

const WHEELS: [Wheel; 5] = [
    Wheel {
        os: "linux",
        arch: "x86_64",
        tag: "manylinux_2_28_x86_64",
        sha256: "1f3dea47f2f0e5117c2404cea7d21fd253ae7836a3bf167a501cdfbb2600d536",
        member: "onnxruntime/capi/libonnxruntime.so.1.31.1",
        member_sha256: "fc44112fbe06d7d689c57e11d3862031f64711007e4ee020f8eed5185fd2c1d3",
        library: "libonnxruntime.so",
    },
    Wheel {
        os: "linux",
        arch: "aarch64",
        tag: "manylinux_2_28_aarch64",
        sha256: "0b9a492176886992e0e875f06bc0367e333f5fff11711a2d642e18b02f3009cc",
        member: "onnxruntime/capi/libonnxruntime.so.1.31.1",
        member_sha256: "8aa3b76b28c778a2b1dd660d34161adb1d508c9ccd04ff9dc80e26eca5df8467",
        library: "libonnxruntime.so",
    },
    Wheel {
        os: "macos",
        arch: "aarch64",
        tag: "macosx_14_0_arm64",
        sha256: "96dd2564b10ea7153ad9c207e7cd8e5917cb3ba521e0e0a62ac03486fdc8d56c",
        member: "onnxruntime/capi/libonnxruntime.1.31.1.dylib",
        member_sha256: "d586cbe89effc085a09d3341b3cfbd5c322517f9d397aeb20814af21433f2b36",
        library: "libonnxruntime.dylib",
    },
    Wheel {
        os: "windows",
        arch: "x86_64",
        tag: "win_amd64",
        sha256: "ae8a9a351efda685cc59a66226cdefaa37a126c1d66872ca23a2de9425326130",
        member: "onnxruntime/capi/onnxruntime.dll",
        member_sha256: "e45f61e50d8650885452be538a00bb14a715e46a1bc3691000ce947e89ed0306",
        library: "onnxruntime.dll",
    },
    Wheel {
        os: "windows",
        arch: "aarch64",
        tag: "win_arm64",
        sha256: "fe8b9ac1ae8e894e12c47ee82e4f6dfc1835768133687257866469fda80d0bf1",
        member: "onnxruntime/capi/onnxruntime.dll",
        member_sha256: "dc9e2fe646a72829386a24ac9185a7a4e26d7dbe5dc433d41df063603c00bbc7",
        library: "onnxruntime.dll",
    },
];

impl Wheel {
    /// The wheel for this machine; the published ones need the GNU C library on Linux.
    pub fn for_host() -> Option<&'static Self> {
        if cfg!(target_env = "musl") {
            None
        } else {
            Self::for_platform(OS, ARCH)
        }
    }

    fn for_platform(os: &str, arch: &str) -> Option<&'static Self> {
        WHEELS
            .iter()
            .find(|wheel| wheel.os == os && wheel.arch == arch)
    }

    pub fn file_name(&self) -> String {
        format!(
            "onnxruntime-{VERSION}-{PYTHON_ABI}-{PYTHON_ABI}-{}.whl",
            self.tag
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_supported_platform_has_one_wheel() {
        for (os, arch, file) in [
            (
                "linux",
                "x86_64",
                "onnxruntime-1.31.1-cp312-cp312-manylinux_2_28_x86_64.whl",
            ),
            (
                "linux",
                "aarch64",
                "onnxruntime-1.31.1-cp312-cp312-manylinux_2_28_aarch64.whl",
            ),
            (
                "macos",
                "aarch64",
                "onnxruntime-1.31.1-cp312-cp312-macosx_14_0_arm64.whl",
            ),
            (
                "windows",
                "x86_64",
                "onnxruntime-1.31.1-cp312-cp312-win_amd64.whl",
            ),
            (
                "windows",
                "aarch64",
                "onnxruntime-1.31.1-cp312-cp312-win_arm64.whl",
            ),
        ] {
            assert_eq!(Wheel::for_platform(os, arch).unwrap().file_name(), file);
        }
        assert!(Wheel::for_platform("macos", "x86_64").is_none());
    }

    #[test]
    fn digests_are_whole_and_distinct() {
        let mut digests: Vec<_> = WHEELS
            .iter()
            .flat_map(|wheel| [wheel.sha256, wheel.member_sha256])
            .collect();
        assert!(
            digests
                .iter()
                .all(|digest| digest.len() == 64 && digest.chars().all(|c| c.is_ascii_hexdigit()))
        );
        digests.sort_unstable();
        digests.dedup();
        assert_eq!(digests.len(), 2 * WHEELS.len());
    }

    #[test]
    fn each_library_has_the_name_its_platform_looks_for() {
        for wheel in &WHEELS {
            let expected = match wheel.os {
                "linux" => "libonnxruntime.so",
                "macos" => "libonnxruntime.dylib",
                _ => "onnxruntime.dll",
            };
            assert_eq!(wheel.library, expected);
        }
    }
}
