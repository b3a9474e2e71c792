/**
 * What belongs to the workspace: every package with its manifest, and which source file stands behind each public entry.
 *
 * The test runner and the house rules read it from here; pnpm-workspace.yaml names the same folders.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root: string = fileURLToPath(new URL('..', import.meta.url)).replace(/[\\/]$/, '')

export interface Manifest {
  name: string
  version: string
  private?: boolean
  exports?: Record<string, { types: string; default: string }>
  dependencies?: Record<string, string>
  devDependencies?: Record<string, string>
  peerDependencies?: Record<string, string>
  optionalDependencies?: Record<string, string>
}

export interface WorkspacePackage {
  /** Relative to the root, with forward slashes: `packages/storage`. */
  folder: string
  manifest: Manifest
}

/** Every package of the workspace, in order of `folder`. A folder without a manifest is not a package. */
export function workspacePackages(): WorkspacePackage[] {
  return [...subfolders('apps'), 'bench', ...subfolders('packages')]
    .filter((folder) => existsSync(join(root, folder, 'package.json')))
    .map((folder) => ({ folder, manifest: readManifest(folder) }))
}

/**
 * The public entries of a package and their sources, read from its `exports`: `@tidemark/storage/conformance` stands for
 * `packages/storage/src/conformance.ts`. `source` is relative to the root.
 */
export function publicEntries({ folder, manifest }: WorkspacePackage): { specifier: string; source: string }[] {
  return Object.entries(manifest.exports ?? {}).map(([subpath, target]) => ({
    specifier: manifest.name + subpath.slice(1),
    source: `${folder}/${target.default.replace(/^\.\/dist\//, 'src/').replace(/\.js$/, '.ts')}`,
  }))
}

export function readManifest(folder: string): Manifest {
  return JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8'))
}

function subfolders(folder: string): string[] {
  const entries = existsSync(join(root, folder)) ? readdirSync(join(root, folder), { withFileTypes: true }) : []
  return entries
    .filter((entry) => entry.isDirectory())
    .map((entry) => `${folder}/${entry.name}`)
    .sort()
}
