/**
 * Lets Node run the sources of this workspace as they are: a package is found by its name in its sources, not in what was built.
 *
 *     node --import ./run-sources.mjs ../src/cli.ts
 *
 * Only what a package names among its dependencies and peers is there.
 */
import { readFileSync } from 'node:fs'
import { registerHooks } from 'node:module'

const packages = new URL('../../', import.meta.url)

registerHooks({
  resolve(specifier, context, next) {
    const [, name, entry = 'index'] = /^@tidemark\/([^/]+)(?:\/(.+))?$/.exec(specifier) ?? []
    if (name === undefined) return next(specifier, context)
    if (!dependenciesOf(context.parentURL ?? '').includes(name))
      throw Object.assign(new Error(`Cannot find package '${specifier}'`), { code: 'ERR_MODULE_NOT_FOUND' })
    return next(new URL(`${name}/src/${entry}.ts`, packages).href, context)
  },
})

/** Names, without their scope, that the package of a file may import. */
function dependenciesOf(file) {
  const [own = ''] = file.slice(packages.href.length).split('/')
  const { dependencies, peerDependencies } = JSON.parse(readFileSync(new URL(`${own}/package.json`, packages), 'utf8'))
  return [own, ...Object.keys({ ...dependencies, ...peerDependencies }).map((name) => name.replace('@tidemark/', ''))]
}
