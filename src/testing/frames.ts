// WebSocket frames as a server sends them.

/** One frame, unmasked; opcode 1 is text, 2 binary, 0 a continuation, 9 a ping (RFC 6455, section 5.2). */
export function frameOf(text: string | Buffer, opcode = 1, isFinal = true): Buffer {
  const payload = Buffer.from(text);
  const isLong = payload.length > 65_535;
  const header = Buffer.alloc(isLong ? 10 : payload.length > 125 ? 4 : 2);
  header[0] = opcode | (isFinal ? 0x80 : 0);
  header[1] = header.length === 2 ? payload.length : isLong ? 127 : 126;
  if (isLong) header.writeBigUInt64BE(BigInt(payload.length), 2);
  else if (header.length === 4) header.writeUInt16BE(payload.length, 2);
  return Buffer.concat([header, payload]);
}
