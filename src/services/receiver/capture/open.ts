// The capture as CAPTURE_DIR asks for it, with its figures and events.
import type { EventSink } from '../../../bus/events.ts';
import type { SessionTap } from '../../../net/websocket.ts';
import type { ServiceContext } from '../../../runtime/service.ts';
import { Capture } from './capture.ts';

/** What taps the connections of each market; null where nothing is captured. The capture closes with the scope. */
export function openCapture(ctx: ServiceContext, instanceId: string, events: EventSink): (marketId: string) => ((url: string) => SessionTap) | null {
  const { config: { capture: { folder, maxBytes } }, clock, log, metrics } = ctx;
  if (folder === null) return () => null;
  const frames = metrics.counter('receiver_captured_frames_total', 'Frames that the raw capture has put on disk');
  const lost = metrics.counter('receiver_capture_lost_frames_total', 'Frames that the raw capture lost while it was paused');
  const written = metrics.counter('receiver_capture_bytes_total', 'Compressed bytes that the raw capture has written');
  const disk = metrics.gauge('receiver_capture_disk_bytes', 'What the files of the raw capture take');
  const paused = metrics.gauge('receiver_capture_paused', '1 while the raw capture is paused, else 0');
  lost.inc(0);
  paused.set(0);
  const startMs = Math.floor(clock.nowMicros() / 1000);
  const since = new Date(startMs).toISOString().replace(/[-:]/g, '').slice(0, 18).replace('.', '');
  const capture = new Capture({
    folder, maxBytes, clock, run: `${instanceId}-${since}`,
    onPaused: (reason) => {
      paused.set(1);
      log.error({ reason, folder }, 'the raw capture is paused: frames are received and stored, but not captured');
      events.emit({ type: 'capture.paused', severity: 'warning', data: { reason, folder } });
    },
    onResumed: (count) => {
      paused.set(0);
      log.info({ lost: count, folder }, 'the raw capture goes on');
      events.emit({ type: 'capture.resumed', severity: 'info', data: { lost: count, folder } });
    },
    onStored: (bytes, count, diskBytes) => {
      frames.inc(count);
      written.inc(bytes);
      disk.set(diskBytes);
    },
    onLost: (count) => lost.inc(count),
  });
  ctx.scope.own(capture, (open) => open.close());
  log.info({ folder, max_bytes: maxBytes }, 'every raw frame is captured to files of this folder');
  return (marketId) => (url) => capture.connection(marketId, url);
}
