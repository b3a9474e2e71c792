/**
 * What a server tells its operator in words. Numbers are counters.
 *
 * Not here: where lines go (the embedder decides; the command writes them to stderr).
 */
export type LogLevel = 'error' | 'warn' | 'info' | 'debug'

/** `facts` may hold what peers sent, such as ids: whoever writes them has to escape and cut them. Secrets are never among them. */
export type Log = (level: LogLevel, message: string, facts?: Readonly<Record<string, unknown>>) => void

export const silent: Log = () => {}
