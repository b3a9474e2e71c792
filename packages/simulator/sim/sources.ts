/**
 * Lets worlds run on the sources of all packages, without a build.
 *
 * To be loaded first: `node --import ./sources.ts`. Not here: changed sources (`mutated.ts`).
 */
import { registerHooks } from 'node:module'

/** Where the packages are, as an address. */
export const packages: URL = new URL('../../', import.meta.url)

/** `@tidemark/sync/run` stands for `packages/sync/src/run.ts`. */
export function sourceOf(specifier: string): string | undefined {
  const [, name, entry = 'index'] = /^@tidemark\/([^/]+)(?:\/(.+))?$/.exec(specifier) ?? []
  return name === undefined ? undefined : new URL(`${name}/src/${entry}.ts`, packages).href
}

registerHooks({
  resolve(specifier, context, next) {
    const source = sourceOf(specifier)
    return source === undefined ? next(specifier, context) : { url: source, shortCircuit: true }
  },
})
