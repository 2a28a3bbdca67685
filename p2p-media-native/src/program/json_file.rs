//! A JSON report in a file: there whole or not at all.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::ProgramError;

/// Where a report will be written.
#[derive(Clone, Debug)]
pub(super) struct JsonFile {
    path: PathBuf,
}

impl JsonFile {
    /// Makes sure that the file can be written when the time comes. Nothing is left there.
    ///
    /// # Errors
    /// When the folder does not exist, or is not ours to write.
    pub(super) fn prepare(path: &Path) -> Result<Self, ProgramError> {
        let file = Self { path: path.to_owned() };
        if !file.is_special() {
            file.temporary().map_err(|error| file.error(&error))?;
        }
        Ok(file)
    }

    /// Writes the report: into a temporary file, which then takes the place of whatever is there.
    ///
    /// # Errors
    /// When the disk is full, for example; then an older report stays as it is.
    pub(super) fn write(&self, report: &impl Serialize) -> Result<(), ProgramError> {
        let write = || {
            let mut json = serde_json::to_vec_pretty(report)?;
            json.push(b'\n');
            if self.is_special() {
                return fs::OpenOptions::new().write(true).open(&self.path)?.write_all(&json);
            }
            let mut file = self.temporary()?;
            file.write_all(&json)?;
            file.as_file().sync_all()?;
            file.persist(&self.path).map(drop).map_err(|error| error.error)
        };
        write().map_err(|error: std::io::Error| self.error(&error))
    }

    /// True for a pipe or a device such as /dev/stdout, which nothing can take the place of.
    fn is_special(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|data| !data.is_file() && !data.is_dir())
    }

    fn temporary(&self) -> std::io::Result<tempfile::NamedTempFile> {
        if self.path.is_dir() {
            return Err(std::io::ErrorKind::IsADirectory.into());
        }
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut builder = tempfile::Builder::new();
        builder.prefix(".p2p-media-").suffix(".json");
        // As any other file would be made, the umask applied; temporary files are otherwise for their owner alone.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        builder.tempfile_in(folder)
    }

    fn error(&self, error: &std::io::Error) -> ProgramError {
        // A temporary file's own name would only confuse.
        let text = error.to_string();
        let cause = text.split_once(" at path ").map_or(&*text, |(cause, _)| cause);
        ProgramError::Output(format!("{}: {cause}", self.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_replaces_an_older_one_and_nothing_else_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.json");
        fs::write(&path, "older").unwrap();
        JsonFile::prepare(&path).unwrap().write(&[1]).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "[\n  1\n]\n");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_place_that_cannot_be_written_is_named_at_once() {
        let dir = tempfile::tempdir().unwrap();
        for path in [dir.path().join("none/out.json"), dir.path().to_owned()] {
            let error = JsonFile::prepare(&path).unwrap_err();
            let text = error.to_string();
            assert!(text.starts_with(&format!("{}: ", path.display())) && !text.contains(".p2p-media-"), "{text}");
        }
    }
}
