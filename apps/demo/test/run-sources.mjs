/**
 * Lets Node run the sources of this workspace as they are: packages are found by name in their sources, not in what was built.
 *
 *     node --import ./run-sources.mjs ../src/server.ts
 */
import { registerHooks } from 'node:module'

registerHooks({
  resolve(specifier, context, next) {
    const [, name, entry = 'index'] = /^@tidemark\/([^/]+)(?:\/(.+))?$/.exec(specifier) ?? []
    if (name === undefined) return next(specifier, context)
    return next(new URL(`../../../packages/${name}/src/${entry}.ts`, import.meta.url).href, context)
  },
})
