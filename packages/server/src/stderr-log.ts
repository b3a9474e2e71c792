/**
 * The log of the command: one line each, on stderr, escaped and cut, because facts may hold what peers sent.
 */
import type { Log, LogLevel } from './log.ts'

const RANKS: Readonly<Record<LogLevel, number>> = { error: 0, warn: 1, info: 2, debug: 3 }
const FACT_CHARACTERS_MAX = 300

/** Lines up to `level`, the most urgent first; `write` gets each with its newline. */
export function createLog(level: LogLevel, write: (line: string) => void): Log {
  return (of, message, facts = {}) => {
    if (RANKS[of] > RANKS[level]) return
    const pairs = Object.entries(facts).filter(([, value]) => value !== undefined)
    const rest = pairs.map(([name, value]) => ` ${name}=${textOf(value)}`).join('')
    write(`${new Date().toISOString()} ${of.padEnd(5)} ${message}${rest}\n`)
  }
}

function textOf(value: unknown): string {
  const text = value instanceof Error ? messageOf(value) : String(value)
  const cut = text.length > FACT_CHARACTERS_MAX ? `${text.slice(0, FACT_CHARACTERS_MAX)}…` : text
  return /^[\w.:@/+-]+$/.test(cut) ? cut : JSON.stringify(cut)
}

/** An error and what caused it, in one line. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const code = (error as NodeJS.ErrnoException).code
  const own = code === undefined || error.message.includes(code) ? error.message : `${error.message} (${code})`
  return error.cause instanceof Error && !own.includes(error.cause.message) ? `${own}: ${messageOf(error.cause)}` : own
}
