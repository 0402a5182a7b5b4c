// The capture's worker thread: chunks in, files out. A disk that stalls holds up this thread and nobody else.
import { constants, setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { CaptureFiles } from './files.ts';
import type { Chunk, FilesOptions } from './records.ts';

/** What a killed process loses of its capture at most. */
const FLUSH_MS = 1_000;

const port = parentPort;
if (port !== null) {
  // On Linux this is the thread's own priority: where cores are scarce the capture falls behind, never the receiver.
  setPriority(constants.priority.PRIORITY_LOW);
  const files = new CaptureFiles(workerData as FilesOptions, (report) => {
    port.postMessage(report, report.type === 'taken' ? [report.records.buffer] : []);
  });
  const timer = setInterval(() => files.flush(), FLUSH_MS);
  port.on('message', (chunk: Chunk | null) => {
    if (chunk !== null) {
      files.take(chunk);
      return;
    }
    clearInterval(timer);
    files.close();
    port.close();
  });
}
