//! Tests of MPD patches.

use proptest::prelude::*;

use super::*;

const MPD: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<MPD id="m" publishTime="2026-01-01T00:00:00Z" type="dynamic">
  <PatchLocation ttl="60">patch?at=0</PatchLocation>
  <Period id="p1" start="PT0S">
    <AdaptationSet id="1"><SegmentTemplate media="$Time$"><SegmentTimeline><S t="0" d="2" r="3"/><S d="1"/></SegmentTimeline></SegmentTemplate></AdaptationSet>
    <AdaptationSet id="2"><SegmentTemplate media="$Time$"><SegmentTimeline/></SegmentTemplate></AdaptationSet>
  </Period>
</MPD>"#;

const TIMELINE: &str = "/MPD/Period[@id='p1']/AdaptationSet[@id='1']/SegmentTemplate/SegmentTimeline";

fn patch(operations: &str) -> String {
    format!(
        r#"<Patch xmlns="urn:mpeg:dash:schema:mpd-patch:2020" mpdId="m" originalPublishTime="2026-01-01T00:00:00Z" publishTime="2026-01-01T00:00:02Z">{operations}</Patch>"#
    )
}

fn applied(operations: &str) -> Result<String, PatchError> {
    apply_patch(MPD.as_bytes(), patch(operations).as_bytes()).map(|mpd| String::from_utf8(mpd).unwrap())
}

/// The MPD after a patch that changed no more than these texts.
fn expected(changes: &[(&str, &str)]) -> String {
    let published = MPD.replace("00:00:00Z", "00:00:02Z");
    changes.iter().fold(published, |mpd, (from, to)| {
        assert!(mpd.contains(from), "{from}");
        mpd.replace(from, to)
    })
}

#[test]
fn a_live_update() {
    let operations = format!(
        r#"<replace sel="/MPD/@publishTime">2026-01-01T00:00:02Z</replace>
        <replace sel="/MPD/PatchLocation[1]"><PatchLocation ttl="60">patch?at=2&amp;x=1</PatchLocation></replace>
        <add sel="{TIMELINE}"><S d="3"/></add>
        <remove sel="{TIMELINE}/S[1]"/>
        <add sel="/MPD/Period[1]/AdaptationSet[2]/SegmentTemplate/SegmentTimeline"><S t="9" d="2"/></add>
        <add sel="/MPD/Period[1]/AdaptationSet[2]/SegmentTemplate/SegmentTimeline"><S d="1"/></add>"#
    );
    let changes = [
        ("patch?at=0", "patch?at=2&amp;x=1"),
        ("<S t=\"0\" d=\"2\" r=\"3\"/><S d=\"1\"/>", "<S d=\"1\"/><S d=\"3\"/>"),
        ("<SegmentTimeline/>", "<SegmentTimeline><S t=\"9\" d=\"2\"/><S d=\"1\"/></SegmentTimeline>"),
    ];
    assert_eq!(applied(&operations).unwrap(), expected(&changes));
}

#[test]
fn each_operation_sees_what_those_before_it_have_done() {
    let after = |operations: &str| applied(operations).map(|mpd| mpd.replace("00:00:02Z", "00:00:00Z"));
    let timeline = |entries: &str| MPD.replace("<S t=\"0\" d=\"2\" r=\"3\"/><S d=\"1\"/>", entries);
    let two_removed = format!("<remove sel=\"{TIMELINE}/S[1]\"/><remove sel=\"{TIMELINE}/S[1]\"/>");
    assert_eq!(after(&two_removed).unwrap(), timeline(""));
    let last = format!("<add sel=\"{TIMELINE}\"><S d=\"8\"/></add><replace sel=\"{TIMELINE}/S[last()]/@d\">9</replace>");
    assert_eq!(after(&last).unwrap(), timeline("<S t=\"0\" d=\"2\" r=\"3\"/><S d=\"1\"/><S d=\"9\"/>"));
    let by_value = format!("<replace sel=\"{TIMELINE}/S[@t='0']/@t\">4</replace><remove sel=\"{TIMELINE}/S[@t='4']/@r\"/>");
    assert_eq!(after(&by_value).unwrap(), timeline("<S t=\"4\" d=\"2\"/><S d=\"1\"/>"));
    let added = r#"<add sel="/MPD"><Period id="p2"></Period></add><add sel="/MPD/Period[@id='p2']" type="@start">PT8S</add>"#;
    assert_eq!(after(added).unwrap(), MPD.replace("</MPD>", "<Period start=\"PT8S\" id=\"p2\"></Period></MPD>"));
    // What was changed in an element goes with it.
    let lost = format!("<add sel=\"{TIMELINE}\"><S d=\"8\"/></add><replace sel=\"{TIMELINE}\"><SegmentTimeline/></replace>");
    assert_eq!(
        after(&lost).unwrap(),
        MPD.replace("<SegmentTimeline><S t=\"0\" d=\"2\" r=\"3\"/><S d=\"1\"/></SegmentTimeline>", "<SegmentTimeline/>")
    );
}

#[test]
fn positions_of_additions() {
    let entries = |operations: &str| {
        let mpd = applied(operations).unwrap();
        let begin = mpd.find("<SegmentTimeline>").unwrap() + "<SegmentTimeline>".len();
        mpd[begin..mpd.find("</SegmentTimeline>").unwrap()].to_owned()
    };
    let (first, second) = ("<S t=\"0\" d=\"2\" r=\"3\"/>", "<S d=\"1\"/>");
    for (attributes, expected) in [
        (format!("sel=\"{TIMELINE}\""), format!("{first}{second}<N/>")),
        (format!("sel=\"{TIMELINE}\" pos=\"prepend\""), format!("<N/>{first}{second}")),
        (format!("sel=\"{TIMELINE}/S[2]\" pos=\"before\""), format!("{first}<N/>{second}")),
        (format!("sel=\"{TIMELINE}/S[2]\" pos=\"after\""), format!("{first}{second}<N/>")),
        (format!("sel=\"{TIMELINE}/S[1]\" pos=\"after\""), format!("{first}<N/>{second}")),
    ] {
        assert_eq!(entries(&format!("<add {attributes}><N/></add>")), expected, "{attributes}");
    }
    let mixed = format!(
        "<add sel=\"{TIMELINE}\"><A/></add><add sel=\"{TIMELINE}/S[2]\" pos=\"after\"><B/></add><add sel=\"{TIMELINE}\"><C/></add>"
    );
    assert_eq!(entries(&mixed), format!("{first}{second}<B/><A/><C/>"));
}

#[test]
fn texts_and_attributes() {
    let operations = r#"<replace sel="/MPD/PatchLocation/text()">a&amp;b</replace><add sel="/MPD/PatchLocation" type="@x">"'</add>
        <replace sel="/MPD/Period/@id">q</replace><remove sel="/MPD/Period/@start"/>"#;
    let changes =
        [("<PatchLocation", "<PatchLocation x=\"&quot;&apos;\""), ("patch?at=0", "a&amp;b"), ("id=\"p1\" start=\"PT0S\"", "id=\"q\"")];
    assert_eq!(applied(operations).unwrap(), expected(&changes));
}

#[test]
fn what_cannot_be_applied() {
    let number = |operations: &str| match applied(operations) {
        Err(PatchError::NotApplicable(number)) => Some(number),
        _ => None,
    };
    for operation in [
        "<remove sel=\"/MPD/Nothing\"/>",
        "<remove sel=\"/MPD/Period/AdaptationSet\"/>",
        "<remove sel=\"/MPD\"/>",
        "<remove sel=\"/Other\"/>",
        "<remove sel=\"/MPD/@none\"/>",
        "<replace sel=\"/MPD/@none\">x</replace>",
        "<replace sel=\"/MPD/Period\">text</replace>",
        "<replace sel=\"/MPD/Period/text()\">text</replace>",
        "<add sel=\"/MPD/Period/@id\">x</add>",
        "<add sel=\"/MPD\" pos=\"within\"><x/></add>",
        "<add sel=\"/MPD\" pos=\"before\"><x/></add>",
        "<add sel=\"/MPD\" type=\"namespace::x\">x</add>",
        "<remove sel=\"//S[1]\"/>",
        "<remove/>",
        "<other sel=\"/MPD\"/>",
    ] {
        assert_eq!(number(&format!("<add sel=\"/MPD\"><New/></add>{operation}")), Some(2), "{operation}");
    }
}

#[test]
fn a_patch_for_another_version() {
    for (from, to) in [("mpdId=\"m\"", "mpdId=\"n\""), ("mpdId=\"m\"", ""), ("00:00:00Z", "00:00:01Z")] {
        let patch = patch("").replacen(from, to, 1);
        assert_eq!(apply_patch(MPD.as_bytes(), patch.as_bytes()), Err(PatchError::OtherVersion), "{to}");
    }
    let same_moment = patch("").replacen("00:00:00Z", "01:00:00.000+01:00", 1);
    assert_eq!(apply_patch(MPD.as_bytes(), same_moment.as_bytes()).unwrap(), expected(&[]).as_bytes());
    assert_eq!(apply_patch(MPD.as_bytes(), MPD.as_bytes()), Err(PatchError::Unreadable));
    assert_eq!(apply_patch(b"", patch("").as_bytes()), Err(PatchError::Unreadable));
}

#[test]
fn work_is_bounded() {
    let dependent = format!("<remove sel=\"{TIMELINE}/S[1]\"/><add sel=\"{TIMELINE}\"><S/></add>").repeat(MAX_READINGS + 1);
    assert_eq!(applied(&dependent), Err(PatchError::TooExtensive));
    assert_eq!(applied(&"<add sel=\"/MPD\"><x/></add>".repeat(MAX_OPERATIONS + 1)), Err(PatchError::TooExtensive));
    let many = MPD.replace("<SegmentTimeline/>", &format!("<SegmentTimeline>{}</SegmentTimeline>", "<S/>".repeat(30_000)));
    let last = "/MPD/Period/AdaptationSet[2]/SegmentTemplate/SegmentTimeline/S[30000]";
    let far = patch(&format!("<add sel=\"{last}\" type=\"@x\">1</add><add sel=\"{last}\" type=\"@y\">1</add>").repeat(1_000));
    assert_eq!(apply_patch(many.as_bytes(), far.as_bytes()), Err(PatchError::TooExtensive));
}

proptest! {
    #[test]
    fn nothing_panics(
        operations in "(<add sel=\"|<remove sel=\"|<replace sel=\"|/MPD|/Period|/AdaptationSet|/SegmentTemplate|/SegmentTimeline|/S|\\[1\\]|\\[@id='1'\\]|/@id|/@t|/text\\(\\)|\"|/>|>|</add>|</replace>|<S/>| pos=\"before\"| pos=\"after\"| type=\"@id\"|\\[last\\(\\)\\]|x){0,40}",
        bytes in proptest::collection::vec(any::<u8>(), 0..100),
    ) {
        let _any_result = applied(&operations);
        let _any_result = apply_patch(MPD.as_bytes(), &bytes);
        let _any_result = apply_patch(&bytes, patch(&operations).as_bytes());
    }

    /// Any operations one after the other give what they give in one patch.
    #[test]
    fn operations_in_one_patch_are_operations_in_sequence(picks in proptest::collection::vec(0..9_usize, 1..6)) {
        let all = [
            format!("<add sel=\"{TIMELINE}\"><S d=\"8\"/></add>"),
            format!("<add sel=\"{TIMELINE}\" pos=\"prepend\"><S d=\"7\"/></add>"),
            format!("<add sel=\"{TIMELINE}/S[1]\" pos=\"after\"><S d=\"6\"/></add>"),
            format!("<add sel=\"{TIMELINE}/S[last()]\" pos=\"before\"><S d=\"5\"/></add>"),
            format!("<remove sel=\"{TIMELINE}/S[1]\"/>"),
            format!("<remove sel=\"{TIMELINE}/S[2]\"/>"),
            format!("<replace sel=\"{TIMELINE}/S[1]/@d\">4</replace>"),
            format!("<replace sel=\"{TIMELINE}\"><SegmentTimeline><S d=\"3\"/></SegmentTimeline></replace>"),
            "<add sel=\"/MPD/Period[1]/AdaptationSet[2]/SegmentTemplate/SegmentTimeline\"><S d=\"2\"/></add>".to_owned(),
        ];
        let together = applied(&picks.iter().map(|&pick| all[pick].as_str()).collect::<String>());
        let stepwise = picks.iter().try_fold(MPD.to_owned(), |mpd, &pick| {
            let step = patch(&all[pick]).replace("00:00:02Z", "00:00:00Z");
            apply_patch(mpd.as_bytes(), step.as_bytes()).map(|mpd| String::from_utf8(mpd).unwrap())
        });
        match (together, stepwise) {
            (Ok(together), Ok(stepwise)) => prop_assert_eq!(together.replace("00:00:02Z", "00:00:00Z"), stepwise),
            (together, stepwise) => prop_assert_eq!(together.is_ok(), stepwise.is_ok()),
        }
    }
}
