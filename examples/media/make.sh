#!/bin/bash
# Makes the sample stream of this folder with ffmpeg 5 or newer: 60 s, three renditions and separate audio as one set of fMP4 segments of
# 2 s, described by an HLS playlist (master.m3u8) and a DASH manifest (manifest.mpd).
#
# Licence: everything here is synthetic (ffmpeg's gradients and testsrc2 pictures, sine tones) and made by this script; like the rest of the
# project it may be used under MIT OR Apache-2.0.
set -euo pipefail
cd "$(dirname "$0")"
rm -f ./*.m4s ./*.m3u8 ./*.mpd

seconds=60 rate=25 gop=50
backdrop="gradients=size=640x360:rate=$rate:duration=$seconds:speed=0.02:nb_colors=4:seed=7:c0=0x10243e:c1=0x1f6f8b:c2=0x99a8b2:c3=0xe6722e"
pattern="testsrc2=size=320x180:rate=$rate:duration=$seconds"
# Two voices: a slow arpeggio, and a tick every second by which a listener hears a skip.
tones="aevalsrc='0.12*sin(2*PI*t*220*(1+mod(floor(t/2)\,4)/4))+0.06*sin(2*PI*t*440)*exp(-6*mod(t\,1))|0.12*sin(2*PI*t*330)+0.06*sin(2*PI*t*880)*exp(-6*mod(t\,1))':s=48000:d=$seconds"
label() { echo "drawtext=text='$1  %{pts\\:hms}':fontsize=h/9:fontcolor=white:box=1:boxcolor=black@0.5:boxborderw=6:x=w/40:y=h/30"; }

# No B frames: their delay would shift the pictures against the sound and cut the two at different places.
ffmpeg -hide_banner -loglevel error -nostdin -y -bitexact \
  -f lavfi -i "$backdrop" -f lavfi -i "$pattern" -f lavfi -i "$tones" \
  -filter_complex "[0][1]overlay=x='W/2-w/2+140*sin(t*0.9)':y='H/2-h/2+60*cos(t*1.3)':format=yuv420,split=3[a][b][c];
    [a]scale=320:180,$(label 180p)[low];[b]scale=480:270,$(label 270p)[middle];[c]$(label 360p)[high]" \
  -map '[low]' -map '[middle]' -map '[high]' -map 2:a -map_metadata -1 \
  -c:v libx264 -preset slow -profile:v main -pix_fmt yuv420p -threads 1 -flags +bitexact \
  -g $gop -keyint_min $gop -sc_threshold 0 -x264-params open-gop=0 -bf 0 \
  -b:v:0 90k -maxrate:v:0 100k -bufsize:v:0 100k \
  -b:v:1 160k -maxrate:v:1 180k -bufsize:v:1 180k \
  -b:v:2 270k -maxrate:v:2 300k -bufsize:v:2 300k \
  -c:a aac -b:a 40k -ac 2 -metadata:s:a:0 language=en \
  -f dash -seg_duration 2 -use_template 1 -use_timeline 1 -hls_playlist 1 -hls_master_name master.m3u8 \
  -adaptation_sets 'id=0,streams=v id=1,streams=a' \
  -init_seg_name 'init_$RepresentationID$.m4s' -media_seg_name 'seg_$RepresentationID$_$Number%02d$.m4s' manifest.mpd

# ffmpeg dates the segments by the day they were made and numbers them from 1: a plain VOD playlist does neither.
sed -i -e '/^#EXT-X-PROGRAM-DATE-TIME/d' -e 's/^#EXT-X-MEDIA-SEQUENCE:.*/#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-PLAYLIST-TYPE:VOD/' media_?.m3u8

# The multivariant playlist, with measured bit rates in place of ffmpeg's guesses: every segment lasts about 2 s.
peak() { stat -c %s seg_"$1"_*.m4s | sort -n | tail -1 | awk '{ print int($1 * 8 / 2) }'; }
average() { stat -c %s seg_"$1"_*.m4s | awk -v seconds=$seconds '{ bytes += $1 } END { print int(bytes * 8 / seconds) }'; }
variant() { # stream, resolution, codec
  echo "#EXT-X-STREAM-INF:BANDWIDTH=$(($(peak "$1") + $(peak 3))),AVERAGE-BANDWIDTH=$(($(average "$1") + $(average 3))),RESOLUTION=$2,FRAME-RATE=25.000,CODECS=\"$3,mp4a.40.2\",AUDIO=\"stereo\""
  echo "media_$1.m3u8"
}
{
  printf '%s\n' '#EXTM3U' '#EXT-X-VERSION:6' '#EXT-X-INDEPENDENT-SEGMENTS'
  echo '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="stereo",NAME="English",LANGUAGE="en",DEFAULT=YES,AUTOSELECT=YES,CHANNELS="2",URI="media_3.m3u8"'
  variant 2 640x360 avc1.4d401e
  variant 1 480x270 avc1.4d4015
  variant 0 320x180 avc1.4d400c
} >master.m3u8
