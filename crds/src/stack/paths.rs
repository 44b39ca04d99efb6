//! Paths of stack files. They name places on the nodes too, which may run Windows, so nothing here
//! asks the machine that Skep runs on.

/// A path below a folder, unless it is absolute; `.` and `..` are taken out.
pub(crate) fn below(folder: &str, path: &str) -> String {
    if path.starts_with('/') {
        return path.to_owned();
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in folder.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// Whether Windows takes the path for an absolute one: `C:\…`, `\\server\share\…`.
pub(crate) fn is_absolute_on_windows(path: &str) -> bool {
    let slash = |char: char| matches!(char, '\\' | '/');
    let mut chars = path.chars();
    if let (Some(drive), Some(':')) = (chars.next(), chars.next())
        && drive.is_ascii_alphabetic()
    {
        return chars.next().is_some_and(slash);
    }
    // A server and a share, neither of them empty, and something behind them.
    let Some(rest) = path.strip_prefix(slash).and_then(|rest| rest.strip_prefix(slash)) else {
        return false;
    };
    let mut parts = rest.splitn(3, slash);
    let (server, share) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let plain = |part: &str| !part.is_empty() && !part.starts_with('.');
    plain(server) && plain(share) && parts.next().is_some()
}

/// `~` at the beginning stands for the home folder, when that is known.
pub(crate) fn with_home(path: &str, home: Option<&str>) -> String {
    match (path.strip_prefix('~'), home) {
        (Some(rest), Some(home)) => format!("{home}{rest}"),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_joined_and_cleaned() {
        for (path, whole) in [
            ("./a", "/srv/web/a"),
            ("a/../b", "/srv/web/b"),
            ("..", "/srv"),
            ("../../../../x", "/x"),
            (".", "/srv/web"),
            ("", "/srv/web"),
            ("/etc//x/..", "/etc//x/.."),
        ] {
            assert_eq!(below("/srv/web", path), whole, "{path:?}");
        }
    }

    #[test]
    fn windows_paths_are_known() {
        for path in [r"C:\data", "c:/data", r"\\server\share\x", "//server/share/"] {
            assert!(is_absolute_on_windows(path), "{path}");
        }
        for path in ["C:", "C:data", "./x", r"\\server", r"\\.\pipe\x", "1:/x", ""] {
            assert!(!is_absolute_on_windows(path), "{path}");
        }
    }

    #[test]
    fn a_home_folder_is_put_in() {
        assert_eq!(with_home("~/x", Some("/home/me")), "/home/me/x");
        assert_eq!(with_home("~/x", None), "~/x");
        assert_eq!(with_home("a~", Some("/h")), "a~");
    }
}
