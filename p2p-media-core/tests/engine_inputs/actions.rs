//! What a hostile world may do next, as values that proptest draws and shrinks.

use std::time::Duration;

use p2p_media_core::config::{Config, DynamicConfig, StreamConfig};
use proptest::collection::vec;
use proptest::prelude::*;

/// Which of the ids that the engine has issued; the small numbers stand for ids that it never issued.
pub(crate) type Pick = u16;

#[derive(Clone, Debug)]
pub(crate) enum Action {
    /// Everything that the engine asked for is answered rightly, by so many steps.
    Obey(u8),
    Wait(Duration),
    /// A peer comes, and says that it has the first segments.
    Meet(u8),
    /// The next timers, each served at its time.
    Timers(u8),
    Player(PlayerAction),
    Http(Pick, HttpAction),
    Tracker(u8, TrackerAction),
    Connection(Pick, ConnectionAction),
    Storage(Pick, StorageAction),
    Configure(Box<DynamicConfig>),
    Shutdown,
}

#[derive(Clone, Debug)]
pub(crate) enum PlayerAction {
    Request {
        stream: u8,
        segment: i64,
    },
    Cancel(Pick),
    /// The player has fetched a segment itself.
    Fetched {
        stream: u8,
        segment: i64,
        length: usize,
    },
    Playhead {
        position: f64,
        rate: f64,
    },
    AddStream(u8),
    AddSegments {
        stream: u8,
        first: i64,
        count: u8,
        duration: f64,
        range: Option<(u64, u64)>,
        is_unfinished: bool,
    },
    /// Parts of the segments with these numbers, four of each.
    AddParts {
        stream: u8,
        first: u64,
        count: u8,
    },
    RemoveParts {
        stream: u8,
        first: u64,
        count: u8,
    },
    RequestPart {
        stream: u8,
        sequence: u64,
        index: u32,
    },
    RemoveSegments {
        stream: u8,
        first: i64,
        count: u8,
    },
    RemoveStream(u8),
}

#[derive(Clone, Debug)]
pub(crate) enum HttpAction {
    Head { status: u16, range_first: Option<u64>, range_total: Option<u64>, content_length: Option<u64> },
    Chunk(usize),
    End,
    Fail,
}

#[derive(Clone, Debug)]
pub(crate) enum TrackerAction {
    Opened,
    Closed,
    Announced {
        stream: u8,
        interval: f64,
        members: u64,
    },
    Offer {
        stream: u8,
        peer: u8,
        offer: u8,
    },
    Answer {
        stream: u8,
        peer: u8,
        offer: Pick,
    },
    Text(String),
    /// A right message with one byte of it replaced.
    Garbled {
        stream: u8,
        at: usize,
        with: char,
    },
}

#[derive(Clone, Debug)]
pub(crate) enum ConnectionAction {
    OfferMade,
    AnswerMade,
    Opened,
    Closed,
    Sent(usize),
    Announce {
        first: i64,
        loaded: u16,
        loading: u8,
        relaying: Option<u8>,
        in_parts: bool,
    },
    Request {
        segment: i64,
        request: u64,
        first_byte: u64,
        last_byte: Option<u64>,
        of_part: bool,
    },
    Cancel {
        segment: i64,
        request: u64,
    },
    /// Asks for what the engine asked somebody else for.
    RequestLoading,
    /// An answer to what the engine asked this peer last; the numbers are changed by so much.
    Data {
        remaining: Option<u64>,
        off: u64,
    },
    Completed {
        off: u64,
    },
    Absent {
        off: u64,
    },
    Payload(usize),
    Bytes(Vec<u8>),
}

#[derive(Clone, Debug)]
pub(crate) enum StorageAction {
    Loaded(usize),
    Lost,
    Stored,
    StoreFailed,
    Validated(bool),
}

pub(crate) fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        6 => (1..40_u8).prop_map(Action::Obey),
        2 => prop_oneof![0..2_000_u64, 0..200_000_u64, Just(90_000)].prop_map(|ms| Action::Wait(Duration::from_millis(ms))),
        3 => (1..8_u8).prop_map(Action::Timers),
        2 => (0..8_u8).prop_map(Action::Meet),
        8 => player().prop_map(Action::Player),
        5 => (any::<Pick>(), http()).prop_map(|(pick, action)| Action::Http(pick, action)),
        5 => (0..4_u8, tracker()).prop_map(|(tracker, action)| Action::Tracker(tracker, action)),
        10 => (any::<Pick>(), connection()).prop_map(|(pick, action)| Action::Connection(pick, action)),
        3 => (any::<Pick>(), storage()).prop_map(|(pick, action)| Action::Storage(pick, action)),
        1 => change().prop_map(|change| Action::Configure(Box::new(change))),
    ]
}

/// A long sequence; some are shut down in the middle.
pub(crate) fn actions(len: usize) -> impl Strategy<Value = Vec<Action>> {
    (vec(action(), len / 2..len), prop::option::weighted(0.2, any::<prop::sample::Index>())).prop_map(|(mut actions, shutdown)| {
        if let Some(at) = shutdown {
            actions.insert(at.index(actions.len()), Action::Shutdown);
        }
        actions
    })
}

pub(crate) fn config() -> impl Strategy<Value = Config> {
    (stream_config(), stream_config(), 1..4_usize, prop::option::weighted(0.3, 1_000..200_000_u64), 1..4_usize, 0..=5_usize).prop_map(
        |(main, secondary, max_peers_per_swarm, upload_rate_limit, upload_slots, offers_per_announce)| Config {
            main,
            secondary,
            segment_storage_limit_bytes: 1 << 20,
            announce_trackers: vec!["ws://a.test".to_owned(), "ws://b.test".to_owned()],
            max_peers_per_swarm,
            upload_rate_limit,
            upload_slots,
            offers_per_announce,
            ..Config::default()
        },
    )
}

fn stream_config() -> impl Strategy<Value = StreamConfig> {
    let flags = (any::<bool>(), any::<bool>(), prop::bool::weighted(0.1), prop::bool::weighted(0.1), prop::bool::weighted(0.1));
    (flags, 1024..70_000_usize, 0..3_u32).prop_map(|((p2p, http, disabled, no_upload, no_download), message, retries)| StreamConfig {
        validate_p2p_segment: p2p && http,
        validate_http_segment: http && !p2p,
        p2p_disabled: disabled,
        p2p_upload_disabled: no_upload,
        p2p_download_disabled: no_download,
        webrtc_max_message_size: message,
        http_error_retries: retries,
        p2p_error_retries: retries,
        ..StreamConfig::default()
    })
}

fn change() -> impl Strategy<Value = DynamicConfig> {
    let limit = prop::option::of(prop_oneof![Just(None), (1_000..1_000_000_u64).prop_map(Some), Just(Some(u64::MAX))]);
    (prop::option::of(stream_config()), limit, prop::option::of(1..5_usize), prop::option::of(1..5_usize)).prop_map(
        |(main, upload_rate_limit, upload_slots, max_peers_per_swarm)| DynamicConfig {
            main,
            upload_rate_limit,
            upload_slots,
            max_peers_per_swarm,
            segment_storage_limit_bytes: upload_slots.map(|slots| (slots as u64) << 20),
            ..DynamicConfig::default()
        },
    )
}

fn segment() -> impl Strategy<Value = i64> + Clone {
    prop_oneof![8 => 0..24_i64, 1 => any::<i64>(), 1 => Just(i64::MIN), 1 => Just(i64::MAX)]
}

fn size() -> impl Strategy<Value = u64> + Clone {
    prop_oneof![4 => 0..3_000_u64, 1 => 0..300_000_u64, 1 => any::<u64>(), 1 => Just(u64::MAX), 1 => Just(i64::MAX as u64)]
}

fn length() -> impl Strategy<Value = usize> + Clone {
    prop_oneof![1 => Just(0), 6 => 1..3_000_usize, 1 => 0..100_000_usize]
}

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![6 => 0.0..60.0, 1 => -1e3..1e6, 1 => any::<f64>(), 1 => Just(f64::NAN), 1 => Just(f64::INFINITY)]
}

fn player() -> impl Strategy<Value = PlayerAction> {
    let range = prop::option::weighted(0.2, (size(), size()));
    prop_oneof![
        6 => (prop_oneof![5 => 0..2_u8, 1 => 0..4_u8], segment()).prop_map(|(stream, segment)| PlayerAction::Request { stream, segment }),
        2 => any::<Pick>().prop_map(PlayerAction::Cancel),
        1 => (0..4_u8, segment(), length()).prop_map(|(stream, segment, length)| PlayerAction::Fetched { stream, segment, length }),
        3 => (number(), prop_oneof![Just(0.0), Just(1.0), number()]).prop_map(|(position, rate)| PlayerAction::Playhead { position, rate }),
        1 => (0..4_u8).prop_map(PlayerAction::AddStream),
        2 => (0..4_u8, segment(), 1..24_u8, prop_oneof![3 => Just(2.0), 1 => number()], range, any::<bool>()).prop_map(
            |(stream, first, count, duration, range, is_unfinished)| {
                PlayerAction::AddSegments { stream, first, count, duration, range, is_unfinished }
            }
        ),
        2 => (0..2_u8, 0..24_u64, 1..40_u8).prop_map(|(stream, first, count)| PlayerAction::AddParts { stream, first, count }),
        1 => (0..2_u8, 0..24_u64, 1..80_u8).prop_map(|(stream, first, count)| PlayerAction::RemoveParts { stream, first, count }),
        3 => (0..2_u8, 0..24_u64, 0..4_u32).prop_map(|(stream, sequence, index)| PlayerAction::RequestPart { stream, sequence, index }),
        1 => (0..4_u8, segment(), 1..24_u8).prop_map(|(stream, first, count)| PlayerAction::RemoveSegments { stream, first, count }),
        1 => prop_oneof![9 => 2..4_u8, 1 => 0..2_u8].prop_map(PlayerAction::RemoveStream),
    ]
}

fn http() -> impl Strategy<Value = HttpAction> {
    let status = prop_oneof![3 => Just(200), 3 => Just(206), 1 => Just(404), 1 => Just(503), 1 => any::<u16>()];
    let some = || prop::option::of(size());
    prop_oneof![
        (status, some(), some(), some()).prop_map(|(status, range_first, range_total, content_length)| HttpAction::Head {
            status,
            range_first,
            range_total,
            content_length
        }),
        length().prop_map(HttpAction::Chunk),
        length().prop_map(HttpAction::Chunk),
        Just(HttpAction::End),
        Just(HttpAction::Fail),
    ]
}

fn tracker() -> impl Strategy<Value = TrackerAction> {
    prop_oneof![
        3 => Just(TrackerAction::Opened),
        1 => Just(TrackerAction::Closed),
        2 => (0..4_u8, number(), size()).prop_map(|(stream, interval, members)| TrackerAction::Announced { stream, interval, members }),
        6 => (0..4_u8, 0..8_u8, any::<u8>()).prop_map(|(stream, peer, offer)| TrackerAction::Offer { stream, peer, offer }),
        4 => (0..4_u8, 0..8_u8, any::<Pick>()).prop_map(|(stream, peer, offer)| TrackerAction::Answer { stream, peer, offer }),
        1 => ".{0,80}".prop_map(TrackerAction::Text),
        2 => (0..4_u8, any::<usize>(), any::<char>()).prop_map(|(stream, at, with)| TrackerAction::Garbled { stream, at, with }),
    ]
}

fn connection() -> impl Strategy<Value = ConnectionAction> {
    let off = prop_oneof![4 => Just(0_u64), 1 => any::<u64>()];
    let request = prop_oneof![4 => 0..4_u64, 1 => any::<u64>()];
    prop_oneof![
        1 => Just(ConnectionAction::OfferMade),
        1 => Just(ConnectionAction::AnswerMade),
        3 => Just(ConnectionAction::Opened),
        1 => prop::bool::weighted(0.2).prop_map(|closed| if closed { ConnectionAction::Closed } else { ConnectionAction::Sent(0) }),
        2 => prop_oneof![length(), Just(usize::MAX)].prop_map(ConnectionAction::Sent),
        4 => (segment(), 0..40_u16, 0..8_u8, prop::option::of(0..8_u8), any::<bool>()).prop_map(
            |(first, loaded, loading, relaying, in_parts)| ConnectionAction::Announce { first, loaded, loading, relaying, in_parts }
        ),
        4 => (segment(), request.clone(), prop_oneof![3 => Just(0), 1 => size()], prop::option::weighted(0.2, size()), any::<bool>()).prop_map(
            |(segment, request, first_byte, last_byte, of_part)| {
                ConnectionAction::Request { segment, request, first_byte, last_byte, of_part }
            }
        ),
        2 => Just(ConnectionAction::RequestLoading),
        1 => (segment(), request).prop_map(|(segment, request)| ConnectionAction::Cancel { segment, request }),
        4 => (prop::option::weighted(0.7, size()), off.clone()).prop_map(|(remaining, off)| ConnectionAction::Data { remaining, off }),
        1 => off.clone().prop_map(|off| ConnectionAction::Completed { off }),
        1 => off.prop_map(|off| ConnectionAction::Absent { off }),
        4 => length().prop_map(ConnectionAction::Payload),
        1 => frame().prop_map(ConnectionAction::Bytes),
    ]
}

/// Bytes that are close to being a command.
fn frame() -> impl Strategy<Value = Vec<u8>> {
    let mark = |marks: [&'static str; 3]| prop::sample::select(marks.to_vec());
    let body = vec(prop_oneof![0..8_u8, Just(0x10), prop::sample::select(b"lsirbfoqpe".to_vec()), any::<u8>()], 0..40);
    (mark(["cstr", "dstr", ""]), body, mark(["cend", "dend", ""]))
        .prop_map(|(start, body, end)| [start.as_bytes(), &body, end.as_bytes()].concat())
}

fn storage() -> impl Strategy<Value = StorageAction> {
    prop_oneof![
        length().prop_map(StorageAction::Loaded),
        Just(StorageAction::Lost),
        Just(StorageAction::Stored),
        Just(StorageAction::StoreFailed),
        any::<bool>().prop_map(StorageAction::Validated),
    ]
}
