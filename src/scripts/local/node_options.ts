// How Node is started for a service, where its own ways do not do.

/**
 * The analyzer makes much garbage and keeps next to nothing of it. By itself V8 lets its young generation grow to 128 MB, step by step over
 * a quarter of an hour: 117 MB resident became 170 MB without anything that was kept. With 8 MB a half it is 127–142 MB all the time, at the
 * same 109,000–200,000 messages/s from the stream. The receiver keeps the default: with more in flight, each collection costs it more.
 */
export const nodeOptions = (service: string): string[] => (service === 'analyzer' ? ['--max-semi-space-size=8'] : []);
