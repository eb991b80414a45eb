// Uses some operations of the generated types.
import type { components, operations, paths } from "./schema";

type Schemas = components["schemas"];
type Parameters = operations["list_organizations"]["parameters"];

const first: Parameters["query"] = { limit: 10 };
const hold: Schemas["HoldRequest"] = {
  reference_id: "ride-17",
  amount: "20.00",
  currency: "USD",
  expires_at: "2026-12-24T18:00:00Z",
};

type Captured =
  paths["/v1/organizations/{organization_id}/wallet/holds/{reference_id}/capture"]["post"];
type Answer = Captured["responses"]["200"]["content"]["application/json"];
type Refused = Captured["responses"]["402"]["content"]["application/problem+json"];

export function left(answer: Answer): Schemas["HoldStatus"] {
  return answer.status;
}

export function cause(problem: Refused): string {
  return `${problem.status} ${problem.code} ${hold.reference_id} ${first?.limit}`;
}
