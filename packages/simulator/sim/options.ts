/**
 * Options of a command: what was given of them, each at most once, and a sentence about what makes no sense.
 *
 * A sentence says what is expected, what came, and what to write. Not here: which options a command has.
 */
import { parseArgs } from 'node:util'

/** What it was asked for makes no sense; the message is for whoever asked. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** What an option takes, with an example; `flag` takes nothing. */
export type Options = Readonly<Record<string, { readonly takes: string; readonly example: string } | 'flag'>>

export interface Given<Name> {
  /** Options by name, as they were given; a flag is ''. */
  readonly values: ReadonlyMap<Name, string>
  /** @throws UsageError always. */
  wrong(option: Name, given: string | undefined): never
}

/** @throws UsageError */
export function optionsOf<T extends Options>(options: T, args: readonly string[]): Given<keyof T & string> {
  type Name = keyof T & string
  const usage = Object.keys(options)
    .map((name) => `--${name}`)
    .join(', ')
  const isOption = (name: string): name is Name => Object.hasOwn(options, name)

  function wrong(option: Name, given: string | undefined): never {
    const about = options[option]
    if (about === undefined || about === 'flag')
      throw new UsageError(`--${option} takes nothing, but was given ${quoted(given)}: write --${option}`)
    const { takes, example } = about
    throw new UsageError(
      `--${option} takes ${takes}, but was given ${quoted(given)}: write, for example, --${option} ${example}`,
    )
  }

  // Not strict, because its errors are more than a sentence and name what is not ours.
  const known = Object.entries(options).map(([name, about]) => [
    name,
    { type: about === 'flag' ? 'boolean' : 'string' },
  ])
  const { tokens } = parseArgs({ args: [...args], options: Object.fromEntries(known), strict: false, tokens: true })
  const values = new Map<Name, string>()
  for (const token of tokens) {
    if (token.kind !== 'option') {
      const text = token.kind === 'positional' ? token.value : '--'
      throw new UsageError(`only options are expected, but ${quoted(text)} was given: write ${usage}`)
    }
    const { name, rawName, value, inlineValue } = token
    if (!isOption(name)) throw new UsageError(`there is no option ${quoted(rawName)}: the options are ${usage}`)
    if (values.has(name)) throw new UsageError(`--${name} is expected once, but was given twice: keep one`)
    if (options[name] === 'flag') {
      if (value !== undefined) wrong(name, value)
      values.set(name, '')
    } else if (value === undefined || value === '' || (!inlineValue && value.startsWith('--'))) {
      // A value that looks like an option is one, and the value is what is missing.
      wrong(name, undefined)
    } else values.set(name, value)
  }
  return { values, wrong }
}

export const quoted = (text: string | undefined): string => (text === undefined ? 'nothing' : `"${text}"`)

/** A whole number that is not negative, or `undefined`. */
export function whole(text: string): number | undefined {
  const number = /^\d+$/.test(text) ? Number(text) : Number.NaN
  return Number.isSafeInteger(number) ? number : undefined
}
