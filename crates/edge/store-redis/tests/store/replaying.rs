//! Many dead letters marked as replayed at once: what comes of it is what each alone would come to.

use crate::{settings, store};
use ringback_delivery::port::{
    DeadLetterFilter, DeadLetterStore, DisposeAnswer, GroupFilter, GroupStore, PlanStore,
};
use ringback_domain::{DeadLetter, DeadLetterId, Disposal, Generation, Replayed};
use ringback_store_redis::RedisStore;
use ringback_testkit::{samples, servers::shared_redis_url};

const MANY: usize = 300;

async fn filled(letters: &[DeadLetter]) -> RedisStore {
    let store = store(settings(&shared_redis_url()));
    for letter in letters {
        store.put_dead_letter(letter).await.unwrap();
    }
    let discarded = Disposal::Discarded {
        at: samples::moment(400),
        note: String::new(),
    };
    let answer = store.dispose(&letters[7].id, &discarded, false).await;
    assert_eq!(answer.unwrap(), DisposeAnswer::Disposed);
    store
}

async fn listed(store: &RedisStore, filter: &DeadLetterFilter) -> Vec<(DeadLetterId, Disposal)> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = store
            .dead_letters(filter, after.as_ref(), 100)
            .await
            .unwrap();
        let entries = page.entries.into_iter();
        found.extend(entries.map(|letter| (letter.id, letter.disposal)));
        after = page.next;
        if after.is_none() {
            return found;
        }
    }
}

#[tokio::test]
async fn marks_of_many_come_to_what_each_alone_comes_to() {
    let places = [(); 3].map(|()| (samples::project(), samples::webhook_destination()));
    let letters: Vec<_> = (0..MANY)
        .map(|number| {
            let (project, webhook) = &places[number % 3];
            let delivery = samples::delivery_of(&samples::event_of(project), webhook.clone());
            let second = i64::try_from(number / 2).unwrap();
            samples::dead_letter_of(delivery, samples::moment(second))
        })
        .collect();
    let (together, alone) = (filled(&letters).await, filled(&letters).await);
    let replayed = Replayed {
        at: samples::moment(500),
        by: "rpl_1".into(),
        generation: Generation::FIRST.next(),
    };
    // All of the first project, half of the second, the first few of the third; and one that is not stored.
    let picked = letters.iter().enumerate().filter(|(number, _)| {
        number % 3 == 0 || number % 6 == 1 || number % 3 == 2 && *number < 30
    });
    let mut picked: Vec<_> = picked.map(|(_, letter)| letter.clone()).collect();
    picked.reverse();
    picked.push(samples::dead_letter());
    let marks: Vec<_> = picked
        .iter()
        .map(|letter| (samples::plan_entry_of(letter), replayed.clone()))
        .collect();
    for round in 0..2 {
        let answers = together.mark_replayed(&marks).await.unwrap();
        for (letter, answer) in picked.iter().zip(answers) {
            let disposal = Disposal::Replayed(replayed.clone());
            let expected = alone.dispose(&letter.id, &disposal, false).await.unwrap();
            assert_eq!(answer, expected, "round {round}");
        }
    }
    let groups = GroupFilter::default();
    assert_eq!(
        together.dead_letter_groups(&groups, 10).await.unwrap(),
        alone.dead_letter_groups(&groups, 10).await.unwrap()
    );
    for include_disposed in [false, true] {
        for project in places
            .iter()
            .map(|(project, _)| Some(project.clone()))
            .chain([None])
        {
            let filter = DeadLetterFilter {
                project,
                include_disposed,
                ..DeadLetterFilter::default()
            };
            let found = listed(&together, &filter).await;
            assert!(!include_disposed || found.len() >= MANY / 3);
            assert_eq!(found, listed(&alone, &filter).await);
        }
    }
    for (project, _) in &places {
        assert_eq!(
            together.dead_letter_count(Some(project)).await.unwrap(),
            alone.dead_letter_count(Some(project)).await.unwrap()
        );
    }
    assert_eq!(together.regroup(1_000).await.unwrap(), 0);
}
