// Expiry dates that both derivative venues use.

/** 08:00 UTC of the last Friday of the first quarter that ends after `ms`. */
export function quarterEnd(ms: number): number {
  const from = new Date(ms);
  for (let month = from.getUTCMonth(); ; month++) {
    if ((month + 1) % 3 !== 0) continue;
    const last = new Date(Date.UTC(from.getUTCFullYear(), month + 1, 0, 8));
    const friday = last.getTime() - ((last.getUTCDay() + 2) % 7) * 86_400_000;
    if (friday > ms) return friday;
  }
}
