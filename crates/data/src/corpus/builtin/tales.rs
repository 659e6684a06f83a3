//! The words and rules of the tales.
//!
//! Who adds a word or a rule: within a rule no alternative may begin with the whole of another one ("cat" and
//! "caterpillar"), or the tests will show the pair.

use super::source::Body::{Each, OneOf};
use super::source::{Domain, Rule, Source};

/// Once upon a time.
pub(super) const TALES: Source = Source { start: "tale", domains: DOMAINS, rules: RULES };

const DOMAINS: &[Domain] = &[
    Domain {
        name: "hero",
        attributes: &["Title", "Name", "name", "one", "noun", "called", "he", "He", "his", "His", "my", "I", "me"],
        values: &[
            (9, &["Anna", "Anna", "Anna", "a", "girl", " called Anna", "she", "She", "her", "Her", "my", "I", "me"]),
            (8, &["Tom", "Tom", "Tom", "a", "boy", " called Tom", "he", "He", "his", "His", "my", "I", "me"]),
            (5, &["Mira", "Mira", "Mira", "a", "weaver", " called Mira", "she", "She", "her", "Her", "my", "I", "me"]),
            (4, &["Hugo", "Hugo", "Hugo", "a", "shepherd", " called Hugo", "he", "He", "his", "His", "my", "I", "me"]),
            (
                3,
                &[
                    "The Sisters",
                    "The sisters",
                    "the sisters",
                    "two",
                    "sisters",
                    "",
                    "they",
                    "They",
                    "their",
                    "Their",
                    "our",
                    "We",
                    "us",
                ],
            ),
            (2, &["Nell", "Nell", "Nell", "a", "widow", " called Nell", "she", "She", "her", "Her", "my", "I", "me"]),
            (1, &["Otto", "Otto", "Otto", "a", "miller", " called Otto", "he", "He", "his", "His", "my", "I", "me"]),
        ],
    },
    Domain {
        name: "thing",
        attributes: &["name", "Title"],
        values: &[
            (6, &["silver key", "Silver Key"]),
            (5, &["golden ring", "Golden Ring"]),
            (4, &["blue lantern", "Blue Lantern"]),
            (3, &["red kite", "Red Kite"]),
            (2, &["wooden flute", "Wooden Flute"]),
            (1, &["magic bean", "Magic Bean"]),
        ],
    },
    Domain {
        name: "home",
        attributes: &["name", "in"],
        values: &[
            (6, &["village", "in"]),
            (5, &["farm", "on"]),
            (4, &["mill", "in"]),
            (3, &["castle", "in"]),
            (2, &["cottage", "in"]),
            (1, &["tower", "in"]),
        ],
    },
    Domain {
        name: "animal",
        attributes: &["name"],
        values: &[
            (7, &["fox"]),
            (6, &["hare"]),
            (5, &["wolf"]),
            (4, &["bear"]),
            (3, &["raven"]),
            (2, &["goat"]),
            (2, &["toad"]),
            (1, &["dragon"]),
        ],
    },
    Domain {
        name: "food",
        attributes: &["name"],
        values: &[(5, &["bread"]), (4, &["honey"]), (3, &["cheese"]), (2, &["cake"]), (1, &["soup"])],
    },
];

const RULES: &[Rule] = &[
    // The title names the hero and the thing, and all that follows agrees with it.
    Rule { name: "tale", given: &[], body: Each("hero", "{hero.Title} and the {titled}") },
    Rule { name: "titled", given: &["hero"], body: Each("thing", "{thing.Title}\n{opening}") },
    Rule {
        name: "opening",
        given: &["hero", "thing"],
        body: OneOf(&[
            (5, "Once upon a time there lived {hero.one} {person}"),
            (3, "Long ago there lived {hero.one} {person}"),
            (2, "Far away there lived {hero.one} {person}"),
        ]),
    },
    Rule {
        name: "person",
        given: &["hero", "thing"],
        body: OneOf(&[(5, "{nature} {hero.noun}{hero.called} {dwelling}"), (4, "{hero.noun}{hero.called} {dwelling}")]),
    },
    Rule {
        name: "nature",
        given: &[],
        body: OneOf(&[(5, "poor"), (4, "brave"), (4, "young"), (3, "clever"), (2, "quiet"), (1, "merry")]),
    },
    Rule {
        name: "dwelling",
        given: &["hero", "thing"],
        body: Each("home", "{home.in} a {home.name} {near} {scene}. {possession} {loss} {quest}"),
    },
    // What was lost, and how.
    Rule {
        name: "possession",
        given: &["hero", "thing"],
        body: OneOf(&[
            (5, "{hero.He} had a {thing.name} {wonder}."),
            (3, "{hero.He} loved {hero.his} {thing.name}."),
            (2, "{hero.His} {thing.name} shone like {light}."),
        ]),
    },
    Rule {
        name: "wonder",
        given: &[],
        body: OneOf(&[(4, "from {scene}"), (2, "that could sing"), (2, "as old as {scene}")]),
    },
    Rule { name: "light", given: &[], body: OneOf(&[(4, "the moon"), (3, "a star"), (2, "gold"), (1, "fire")]) },
    Rule { name: "loss", given: &[], body: OneOf(&[(7, "One {time} {misfortune}."), (2, "But {misfortune}.")]) },
    Rule {
        name: "time",
        given: &[],
        body: OneOf(&[(5, "morning"), (4, "night"), (3, "evening"), (2, "{season} morning"), (2, "{season} night")]),
    },
    Rule { name: "season", given: &[], body: OneOf(&[(2, "winter"), (1, "summer")]) },
    Rule {
        name: "misfortune",
        given: &[],
        body: OneOf(&[
            (4, "it was gone"),
            (4, "a {temper} {thief} stole it"),
            (2, "it fell into {scene}"),
            (1, "the wind took it"),
        ]),
    },
    Rule {
        name: "thief",
        given: &[],
        body: OneOf(&[(5, "goblin"), (4, "witch"), (3, "giant"), (2, "thief"), (1, "king")]),
    },
    Rule {
        name: "quest",
        given: &["hero", "thing", "home"],
        body: OneOf(&[
            (4, "So {hero.he} set out to find it.\n{journey}"),
            (3, "So {hero.he} took some {food} and {went} {across} {scene}.\n{journey}"),
            (3, "\"{hero.I} must find it,\" said {hero.name}, and {went} {across} {scene}.\n{journey}"),
        ]),
    },
    Rule { name: "food", given: &[], body: Each("food", "{food.name}") },
    // The journey: adventures one after the other, until the thing is found.
    Rule {
        name: "journey",
        given: &["hero", "thing", "home"],
        body: OneOf(&[(3, "{adventure} {journey}"), (1, "{discovery}\n{return}")]),
    },
    Rule {
        name: "adventure",
        given: &["hero", "thing"],
        body: OneOf(&[(4, "{walk}"), (3, "{sight}"), (4, "{meeting}"), (2, "{weather}")]),
    },
    Rule {
        name: "walk",
        given: &["hero"],
        body: OneOf(&[
            (5, "{hero.He} {went} {across} {scene}{onward}"),
            (2, "For {number} days {hero.he} {went} {across} {scene}{onward}"),
            (3, "{hero.Name} slept {near} {scene} and dreamed of {dream}."),
        ]),
    },
    Rule { name: "onward", given: &[], body: OneOf(&[(3, "."), (1, " and {across} {scene}{onward}")]) },
    Rule {
        name: "sight",
        given: &["hero"],
        body: OneOf(&[
            (3, "There {hero.he} saw {marvel} {near} {scene}."),
            (2, "{Near} {scene} {hero.he} heard {marvel}."),
        ]),
    },
    Rule { name: "marvel", given: &[], body: OneOf(&[(4, "{number} {temper} {beings}"), (3, "a {temper} {thief}")]) },
    Rule {
        name: "beings",
        given: &[],
        body: OneOf(&[(4, "birds"), (3, "horses"), (3, "goblins"), (2, "bees"), (1, "dragons")]),
    },
    Rule {
        name: "dream",
        given: &["hero"],
        body: OneOf(&[(4, "{food}"), (3, "{number} {beings}"), (2, "{hero.his} mother"), (2, "{scene}")]),
    },
    Rule {
        name: "weather",
        given: &[],
        body: OneOf(&[
            (4, "Rain fell on {scene}."),
            (2, "Snow fell on {scene}."),
            (3, "Stars shone over {scene}."),
            (1, "A cold wind blew."),
        ]),
    },
    // Animals know things, at a price.
    Rule { name: "meeting", given: &["hero", "thing"], body: Each("animal", "{encounter} {question} {answer}") },
    Rule {
        name: "encounter",
        given: &["hero", "animal"],
        body: OneOf(&[
            (5, "Then {hero.he} met a {temper} {animal.name}."),
            (2, "A {temper} {animal.name} sat {near} {scene}."),
        ]),
    },
    Rule {
        name: "question",
        given: &["hero", "thing"],
        body: OneOf(&[
            (4, "\"Have you seen {hero.my} {thing.name}?\" asked {hero.name}."),
            (3, "\"Where is {hero.my} {thing.name}?\" {hero.he} asked."),
            (2, "\"Help {hero.me},\" said {hero.name}."),
        ]),
    },
    Rule {
        name: "answer",
        given: &["hero", "animal"],
        body: OneOf(&[
            (4, "\"No,\" said the {animal.name}, and {refusal}."),
            (3, "\"{hint},\" said the {animal.name}."),
            (3, "\"Give me {bargain}"),
        ]),
    },
    Rule {
        name: "bargain",
        given: &["hero", "animal"],
        body: Each(
            "food",
            "{food.name},\" said the {animal.name}. \
             So {hero.he} gave the {animal.name} some {food.name}. \"{hint},\" it said.",
        ),
    },
    Rule {
        name: "refusal",
        given: &[],
        body: OneOf(&[(4, "{went} {across} {scene}"), (3, "laughed"), (2, "slept on"), (1, "ate some {food}")]),
    },
    Rule {
        name: "hint",
        given: &[],
        body: OneOf(&[
            (5, "Look {near} {scene}"),
            (3, "Follow the {guide} {across} {scene}"),
            (2, "Ask the {thief} {near} {scene}"),
            (1, "Never give up"),
        ]),
    },
    Rule { name: "guide", given: &[], body: OneOf(&[(4, "moon"), (3, "smoke"), (2, "{beings}")]) },
    // Found at last.
    Rule {
        name: "discovery",
        given: &["hero", "thing"],
        body: OneOf(&[
            (5, "At last {hero.he} found the {thing.name} {near} {scene}."),
            (3, "And there, {near} {scene}, lay the {thing.name}."),
        ]),
    },
    Rule {
        name: "return",
        given: &["hero", "home"],
        body: OneOf(&[
            (4, "{hero.He} {went} home to the {home.name}. {ending}"),
            (3, "When {hero.he} came back to the {home.name}, {welcome}. {ending}"),
            (1, "Nobody at the {home.name} believed it. {ending}"),
        ]),
    },
    Rule {
        name: "welcome",
        given: &[],
        body: OneOf(&[(4, "all the bells rang"), (3, "there was {food} for all"), (2, "the king danced")]),
    },
    Rule {
        name: "ending",
        given: &["hero"],
        body: OneOf(&[
            (4, "The end.\n\n"),
            (3, "And {hero.he} never lost it again.\n\n"),
            (2, "And they all lived happily ever after.\n\n"),
        ]),
    },
    // Words for all occasions.
    Rule { name: "scene", given: &[], body: OneOf(&[(1, "the {look} {spot}"), (1, "the {spot}")]) },
    Rule {
        name: "look",
        given: &[],
        body: OneOf(&[
            (6, "dark"),
            (5, "green"),
            (4, "old"),
            (4, "silent"),
            (3, "misty"),
            (2, "lonely"),
            (2, "golden"),
            (1, "frozen"),
        ]),
    },
    Rule {
        name: "spot",
        given: &[],
        body: OneOf(&[
            (8, "forest"),
            (7, "river"),
            (6, "hill"),
            (5, "sea"),
            (5, "mountain"),
            (4, "road"),
            (3, "bridge"),
            (3, "well"),
            (2, "garden"),
            (2, "cave"),
            (1, "valley"),
        ]),
    },
    Rule {
        name: "near",
        given: &[],
        body: OneOf(&[(5, "near"), (4, "behind"), (3, "beside"), (2, "under"), (1, "above")]),
    },
    Rule { name: "Near", given: &[], body: OneOf(&[(4, "Near"), (3, "Behind"), (1, "Under")]) },
    Rule {
        name: "across",
        given: &[],
        body: OneOf(&[(5, "over"), (4, "through"), (3, "along"), (3, "across"), (2, "past"), (1, "around")]),
    },
    Rule {
        name: "went",
        given: &[],
        body: OneOf(&[(6, "walked"), (5, "ran"), (4, "wandered"), (3, "rode"), (2, "flew"), (1, "crept")]),
    },
    Rule {
        name: "temper",
        given: &[],
        body: OneOf(&[(5, "hungry"), (4, "grey"), (3, "friendly"), (2, "sleepy"), (2, "strange"), (1, "tiny")]),
    },
    Rule {
        name: "number",
        given: &[],
        body: OneOf(&[(5, "three"), (4, "seven"), (3, "two"), (2, "nine"), (1, "a hundred")]),
    },
];
