/**
 * Which engine works for which player. Plugins of Shaka are global: they find the player's engine by its networking engine and by its requests.
 */
import type { PlayerBinding } from "./binding.js";
import type { RequestContext } from "./shaka-types.js";

/** Whose request it is, and what for. */
export type RequestNote = { binding: PlayerBinding; context: RequestContext | undefined };

const bindings = new WeakMap<object, PlayerBinding>();
const requests = new WeakMap<object, RequestNote>();

/** A networking engine belongs to a bound player. */
export function noteEngine(networking: object, binding: PlayerBinding): void {
  bindings.set(networking, binding);
}

/** It no longer does. */
export function forget(networking: object): void {
  bindings.delete(networking);
}

/** The bound player of a networking engine. */
export function bindingOf(networking: object): PlayerBinding | undefined {
  return bindings.get(networking);
}

/** A request belongs to a bound player. */
export function note(request: object, value: RequestNote): void {
  requests.set(request, value);
}

/** Whose request it is; `undefined` for players without an engine. */
export function noteOf(request: object): RequestNote | undefined {
  const found = requests.get(request);
  return found?.binding.isBound ? found : undefined;
}
