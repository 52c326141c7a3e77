"""Owns the names that Codat's clients have for kinds of asset: set in the kind, or by default."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, Self, TypeAlias, get_args

from towline.frozen import frozen
from towline.kinds import Kinds

DataType: TypeAlias = Literal[
    "accountTransactions",
    "balanceSheet",
    "bankAccounts",
    "bankTransactions",
    "banking-accountBalances",
    "banking-accounts",
    "banking-transactionCategories",
    "banking-transactions",
    "billCreditNotes",
    "billPayments",
    "bills",
    "cashFlowStatement",
    "chartOfAccounts",
    "commerce-companyInfo",
    "commerce-customers",
    "commerce-disputes",
    "commerce-locations",
    "commerce-orders",
    "commerce-paymentMethods",
    "commerce-payments",
    "commerce-productCategories",
    "commerce-products",
    "commerce-taxComponents",
    "commerce-transactions",
    "company",
    "creditNotes",
    "customers",
    "directCosts",
    "directIncomes",
    "invoices",
    "itemReceipts",
    "items",
    "journalEntries",
    "journals",
    "paymentMethods",
    "payments",
    "profitAndLoss",
    "purchaseOrders",
    "salesOrders",
    "suppliers",
    "taxRates",
    "trackingCategories",
    "transfers",
]
"""The data types that Codat's clients accept."""


def _key(name: str) -> str:
    """The same for ``tax_rate``, ``Tax rates`` and ``taxRates``."""
    letters = "".join(filter(str.isalnum, name.lower()))
    return letters[:-3] + "y" if letters.endswith("ies") else letters.removesuffix("s")


DEFAULTS: Mapping[str, str] = MappingProxyType({_key(name): name for name in get_args(DataType)})
"""The data type of a kind that sets none, by the kind's name in its simplest form."""


@frozen
class DataTypes:
    """The data types of a project's kinds; a kind that has none goes by its own name."""

    by_kind: Mapping[str, str]

    @classmethod
    def of(cls, kinds: Kinds) -> Self:
        """Those that the kinds set, and the defaults that no other kind goes by."""
        found = {kind.name: kind.data_type or kind.name for kind in kinds.kinds}
        for kind in kinds.kinds:
            default = DEFAULTS.get(_key(kind.name))
            if kind.data_type is None and default is not None and default not in found.values():
                found[kind.name] = default
        return cls(MappingProxyType(found))

    def of_kind(self, kind: str) -> str:
        """The data type of a kind, known to the project or not."""
        return self.by_kind.get(kind, kind)

    def kind_of(self, data_type: str) -> str:
        """The kind that a data type, or else a kind's own name, means."""
        return next((k for k, known in self.by_kind.items() if known == data_type), data_type)
