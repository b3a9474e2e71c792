/**
 * Loads the sources of all packages with one of them changed: no switch in them, only in what is loaded here.
 *
 * Every mutation has modules of its own, told apart by the query of their address, so that one process can play many.
 */
import { readFileSync } from 'node:fs'
import { registerHooks } from 'node:module'
import type * as Simulator from '@tidemark/simulator'
import { type Mutation, mutations } from './mutations.ts'
import { packages, sourceOf } from './sources.ts'

registerHooks({
  resolve(specifier, context, next) {
    const mutation = /\?mutation=\d+$/.exec(context.parentURL ?? '')?.[0]
    if (mutation === undefined) return next(specifier, context)
    const source =
      sourceOf(specifier) ?? (specifier.startsWith('.') ? new URL(specifier, context.parentURL).href : undefined)
    if (source === undefined) return next(specifier, context)
    return { url: source.replace(/\?.*$/, '') + mutation, shortCircuit: true }
  },
  load(url, context, next) {
    const [, path, number] = /^(.*)\?mutation=(\d+)$/.exec(url) ?? []
    if (path === undefined) return next(url, context)
    const text = readFileSync(new URL(path), 'utf8')
    const mutation = mutations[Number(number)] as Mutation
    const isIt = path === new URL(mutation.file, packages).href
    return { format: 'module-typescript', source: isIt ? changed(text, mutation) : text, shortCircuit: true }
  },
})

function changed(text: string, { name, file, from, to }: Mutation): string {
  if (text.split(from).length !== 2)
    throw new Error(`mutation "${name}": ${file} does not have it exactly once:\n${from}`)
  return text.replace(from, () => to)
}

/** The simulator on an engine with this mutation. */
export function simulatorWith(mutation: Mutation): Promise<typeof Simulator> {
  return import(`${new URL('simulator/src/index.ts', packages).href}?mutation=${mutations.indexOf(mutation)}`)
}

/** The first seed of a profile that fails, and what catches it; `undefined` if none does. */
export async function firstCaught(
  mutation: Mutation,
  profile: string,
  from: number,
  until: number,
): Promise<{ readonly seed: number; readonly checker: string; readonly text: string } | undefined> {
  const { households, profiles, simulate } = await simulatorWith(mutation)
  const faults = profiles.find(({ name }) => name === profile)
  if (faults === undefined) throw new RangeError(`no profile ${profile}`)
  const scenario = households({
    clients: 3,
    operations: 40,
    server: mutation.server ?? {},
    varied: mutation.varied ?? false,
  })
  for (let seed = from; seed <= until; seed++) {
    const { failure } = await simulate(scenario, seed, faults)
    if (failure !== undefined) return { seed, checker: failure.checker, text: String(failure.cause) }
  }
  return undefined
}
