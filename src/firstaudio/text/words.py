"""Small words, by language, that say where a clause without a comma may be cut, and abbreviations.

A breath before a conjunction, a relative pronoun or a preposition is natural; one after it, or after an article, is
not. A language without a table is cut between any two words.
"""

from __future__ import annotations

_STARTERS = {
    "de": "aber als am an auf aus außer bei beim bevor bis da damit dann dass denn durch für gegen hinter im in "
    "indem ins mit nach nachdem neben ob obwohl oder ohne seit sodass sondern sowie trotz über um und "
    "unter vom von vor während wegen weil wenn wer wie wo zu zum zur zwischen",
    "en": "about after against along although among and around as at because before behind below between but by "
    "despite during except for from how if in inside into like near of off on once onto or outside over "
    "since so than that though through to toward towards under unless until upon what when where whereas "
    "whether which while who whom whose why with within without yet",
    "es": "a ante aunque bajo como con contra cuando de desde donde durante e en entre hacia hasta mientras ni "
    "o para pero por porque pues que quien según si sin sino sobre tras u y",
    "fr": "à afin après au aux avant avec car chez comme contre dans de depuis derrière des dès donc dont du "
    "durant en entre et lorsque mais malgré ni or où ou par parce pendant pour puis puisque quand que "
    "quoique sans selon si sinon sous sur vers",
    "it": "a al alla anche benché che chi come con contro da dal dalla del della di dopo dove durante e ed fra "
    "in mentre nel nella né o oppure per perché però quando se senza sopra sotto su tra verso",
    "nl": "aan als bij boven dan dat die door en hoe in maar met na naar noch of om omdat onder op over sinds "
    "te tegen terwijl toen tot tussen uit van voor waar wanneer want wie zodat zonder",
    "pt": "a ao até com como contra da de desde do durante e em embora enquanto entre mas na nem no onde ou "
    "para pela pelo por porque quando que quem se sem sob sobre",
    "ru": "а без в для до если за и из или к как когда который которая которые ли между на над не но о об "
    "однако от перед по под пока после потому при с со так то у хотя через что чтобы",
}
_DETERMINERS = {
    "de": "das dem den der des die ein eine einem einen einer eines mein meine nicht sein seine",
    "en": "a an every her his its my no not our the their these this those very your",
    "es": "el esta este la las los mi no su un una",
    "fr": "ce cette la le les leur ma mon ne sa son un une",
    "it": "gli i il la le lo non un una uno",
    "nl": "de een het niet",
    "pt": "a as não o os seu sua um uma",
    "ru": "не",
}
_STARTER_SETS = {language: frozenset(words.split()) for language, words in _STARTERS.items()}
_CLINGING_SETS = {language: _STARTER_SETS[language].union(words.split()) for language, words in _DETERMINERS.items()}
_NONE: frozenset[str] = frozenset()

# Abbreviations, without their last dot, that sentencex 1.0 takes for the end of a sentence.
_ABBREVIATIONS: dict[str, frozenset[str]] = {
    "fr": frozenset({"mm", "mme", "mmes", "mlle", "mlles", "cf", "env", "éd", "vol"}),
    "es": frozenset({"sr", "sra", "srta", "dr", "dra", "ud", "uds", "pág", "núm", "av"}),
    "it": frozenset({"sig", "dott", "prof", "avv", "ing", "pag"}),
    "pt": frozenset({"sr", "sra", "dr", "dra", "pág", "av"}),
    "ru": frozenset({"г", "гг", "ул", "им", "стр", "рис", "руб", "тыс", "др"}),
}


def phrase_starters(language: str) -> frozenset[str]:
    """The lower-case words of `language` (BCP-47) that begin a phrase; none for a language without a table."""
    return _STARTER_SETS.get(_primary(language), _NONE)


def clinging_words(language: str) -> frozenset[str]:
    """The lower-case words of `language` that belong to the word after them."""
    return _CLINGING_SETS.get(_primary(language), _NONE)


def abbreviations(language: str) -> frozenset[str]:
    """Lower-case abbreviations of `language`, without their last dot, that sentencex does not know."""
    return _ABBREVIATIONS.get(_primary(language), _NONE)


def _primary(language: str) -> str:
    return language.split("-")[0].lower()
