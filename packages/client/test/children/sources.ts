/**
 * For processes that tests start: packages of this workspace are their sources, as they are for the tests, so that nothing need be
 * built before. Given with `--import`.
 */
import { registerHooks } from 'node:module'

const packages = new URL('../../../', import.meta.url)

registerHooks({
  resolve(specifier, context, next) {
    const [, name, entry = 'index'] = /^@tidemark\/([^/]+)(?:\/(.+))?$/.exec(specifier) ?? []
    return next(name === undefined ? specifier : new URL(`${name}/src/${entry}.ts`, packages).href, context)
  },
})
