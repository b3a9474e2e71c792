/**
 * Imports a module and says everything that was loaded for it, as a JSON array of specifiers. Argument: the module, from here.
 */
import { registerHooks } from 'node:module'

const loaded: string[] = []
registerHooks({
  resolve(specifier, context, next) {
    loaded.push(specifier)
    return next(specifier, context)
  },
})
await import(process.argv[2] as string)
console.log(JSON.stringify(loaded))
